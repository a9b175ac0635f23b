"""Operations that list: media, recordings, prompts, languages, voices. Rows come in pieces."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from kazoo_media.access.accounts import ReadScope
from kazoo_media.core import Core
from kazoo_media.crossbar.answers import CSV, JSON, MESSAGE_BYTES, Answer
from kazoo_media.crossbar.dispositions import disposition
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.identifiers import decoded, written
from kazoo_media.crossbar.layouts import Layout, Row, Shape, comma_separated, compact, pretty
from kazoo_media.crossbar.negotiation import Accept
from kazoo_media.crossbar.queries import (
    Paging,
    media_query,
    paging_of,
    place_of,
    recordings_query,
    written_place,
)
from kazoo_media.crossbar.recordings import recording_of
from kazoo_media.crossbar.requests import Request
from kazoo_media.documents.rules import is_stream
from kazoo_media.model import ListedDocument, Media, language_of, prompt_id_of
from kazoo_media.settings import PAGINATION_PAGE_SIZE

_BATCH_ROWS = 500
_MISSING = "missing"

_Item = TypeVar("_Item")
_Fetch = Callable[[str, int], Awaitable[tuple[list[_Item], str | None]]]
"""Returns at most a number of items from a start key, and the key after them."""

_MEDIA = Shape(("id", "name", "media_source", "language", "is_prompt", "content_type"))
_RECORDINGS = Shape(
    (
        *("id", "name", "call_id", "cdr_id", "interaction_id", "from", "to", "request"),
        *("direction", "start", "duration", "duration_ms", "caller_id_name", "caller_id_number"),
        *("callee_id_name", "callee_id_number", "owner_id", "origin", "media_type"),
    )
)
_PROMPTS = Shape(("prompt_id", "count"), counts=True)
_LANGUAGES = Shape(("language", "count"), counts=True)
_IDS = Shape(("id",), revised=False)
_TRANSLATIONS = Shape(("id", "has_attachments"))
_VOICES = Shape(("name", "locale", "gender", "engine_voice"))


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some rows.

    Attributes:
        next_start: Key of the row after them, None at the end of the list.
    """

    rows: list[Row]
    next_start: str | None


class Lists:
    """Answers requests for lists."""

    def __init__(self, core: Core, envelopes: Envelopes) -> None:
        self._library = core.library
        self._recordings = core.stored_recordings
        self._prompts = core.prompts
        self._settings = core.settings
        self._speech = core.speech
        self._envelopes = envelopes

    async def media(self, scope: ReadScope, request: Request) -> Answer:
        """List documents that match the filters."""
        paging = await self._paging(request)
        query = media_query(request, paging.start)

        async def fetch(start: str, limit: int) -> tuple[list[ListedDocument], str | None]:
            page = await self._library.list_documents(
                scope, replace(query, start=start or None, limit=limit)
            )
            return page.items, page.next_start

        return await self._answer(request, paging, _MEDIA, _batches(fetch, paging, _row))

    async def recordings(self, scope: ReadScope, request: Request) -> Answer:
        """List recordings that match the filters, the newest first."""
        paging = await self._paging(request)
        query = recordings_query(request)
        place_of(paging.start)  # an invalid start key is an error before anything is sent

        async def fetch(start: str, limit: int) -> tuple[list[Media], str | None]:
            found, place = await self._recordings.list_page(
                scope, replace(query, limit=limit), place_of(start)
            )
            return found, None if place is None else written_place(place)

        batches = _batches(fetch, paging, recording_of)
        return await self._answer(request, paging, _RECORDINGS, batches)

    async def prompts(self, scope: ReadScope, request: Request) -> Answer:
        """Count the translations of each prompt."""

        async def fetch(start: str, limit: int) -> tuple[list[tuple[str, int]], str | None]:
            page = await self._prompts.count_prompts(scope, start, limit)
            return page.counts, page.next_start

        paging = await self._paging(request)
        batches = _batches(fetch, paging, lambda count: count)
        return await self._answer(request, paging, _PROMPTS, batches)

    async def languages(self, scope: ReadScope, request: Request) -> Answer:
        """Count the media of each language."""
        counts: dict[str, int] = {}
        for language, count in await self._prompts.count_languages(scope):
            key = _MISSING if language is None else language
            counts[key] = counts.get(key, 0) + count

        async def batches() -> AsyncGenerator[_Batch, None]:
            yield _Batch([*sorted(counts.items())], None)

        paging = await self._paging(request)
        whole = replace(paging, start="", sent_start="")
        return await self._answer(request, whole, _LANGUAGES, batches())

    async def translations(self, scope: ReadScope, request: Request) -> Answer:
        """List a prompt's media: by id, in v1 as objects like Kazoo, whose classic UI needs them.

        The published page shows the prompt id as their start key.
        """
        prompt_id = decoded(request.target.name)
        paging = await self._paging(request)
        if paging.start in ("", prompt_id) and paging.size is not None:
            paging = replace(paging, start="", sent_start=prompt_id)

        async def fetch(start: str, limit: int) -> tuple[list[tuple[str, bool]], str | None]:
            page = await self._prompts.translations(scope, prompt_id, start, limit)
            return page.translations, page.next_start

        def row(translation: tuple[str, bool]) -> Row:
            media_id, has_audio = translation
            name = written(media_id, prompt=True)
            return {"id": name, "has_attachments": has_audio} if request.is_v1 else name

        shape = _TRANSLATIONS if request.is_v1 else _IDS
        return await self._answer(request, paging, shape, _batches(fetch, paging, row))

    async def media_of_language(self, scope: ReadScope, request: Request) -> Answer:
        """List the ids of a language's media."""
        name = decoded(request.target.name)
        language = None if name == _MISSING else name
        prefix = f"{name.lower()}/"

        async def fetch(start: str, limit: int) -> tuple[list[str], str | None]:
            page = await self._prompts.media_of_language(scope, language, start, limit)
            return page.ids, page.next_start

        def row(media_id: str) -> str:
            prompt = media_id.startswith(prefix) or is_stream(media_id)
            return written(media_id, prompt=prompt)

        paging = await self._paging(request)
        return await self._answer(request, paging, _IDS, _batches(fetch, paging, row))

    async def voices(self, scope: ReadScope, request: Request) -> Answer:
        """List the voices of the configured speech provider, all at once."""
        del scope  # proves the permission
        found = await self._speech.voices()
        rows = [
            {column: getattr(voice, column) for column in _VOICES.columns} for voice in found.voices
        ]

        async def batches() -> AsyncGenerator[_Batch, None]:
            yield _Batch(rows, None)

        return await self._answer(request, Paging(None, "", ""), _VOICES, batches())

    async def _paging(self, request: Request) -> Paging:
        return paging_of(request, await self._settings.get(PAGINATION_PAGE_SIZE))

    async def _answer(
        self,
        request: Request,
        paging: Paging,
        shape: Shape,
        batches: AsyncGenerator[_Batch, None],
    ) -> Answer:
        """Return the answer; it has a Content-Length if it fits into two messages."""
        layout = _layout(request, shape)
        stream = self._stream(request, paging, shape, layout, batches)
        data = await anext(stream)
        more = await anext(stream, b"")
        headers = {"vary": "accept"}
        if layout.content_type == CSV:
            name = request.parameter("filename") or "list"
            headers["content-disposition"] = disposition("attachment", name, "csv")
        if more:
            return Answer(200, data + more, layout.content_type, headers, stream)
        return Answer(200, data, layout.content_type, headers, size_bytes=len(data))

    async def _stream(
        self,
        request: Request,
        paging: Paging,
        shape: Shape,
        layout: Layout,
        batches: AsyncGenerator[_Batch, None],
    ) -> AsyncGenerator[bytes, None]:
        digest = hashlib.md5(usedforsecurity=False)
        count, next_start = 0, None
        pending = bytearray(layout.head)
        async for batch in batches:
            if batch.rows:
                text = (layout.separator if count else layout.opening) + layout.rows(batch.rows)
                digest.update(text)
                pending += text
                count += len(batch.rows)
            next_start = batch.next_start
            while len(pending) > MESSAGE_BYTES:
                yield bytes(pending[:MESSAGE_BYTES])
                del pending[:MESSAGE_BYTES]
        text = layout.closing if count else layout.empty
        digest.update(text)
        pending += text
        if layout.content_type == JSON:
            extra: dict[str, Any] = {}
            if shape.revised and count:
                extra["revision"] = digest.hexdigest()
            if paging.size is not None:
                extra |= _paging_keys(paging, count, next_start)
            pending += self._envelopes.tail(request, extra)
        yield bytes(pending)


def _layout(request: Request, shape: Shape) -> Layout:
    if Accept.of(request.accept).prefers_csv:
        return comma_separated(shape)
    return pretty(shape) if request.wants_pretty else compact(shape)


def _paging_keys(paging: Paging, count: int, next_start: str | None) -> dict[str, Any]:
    keys: dict[str, Any] = {"page_size": count}
    if paging.sent_start:
        keys["start_key"] = paging.sent_start
    if next_start is not None:
        keys["next_start_key"] = written(next_start, prompt=True)
    return keys


async def _batches(
    fetch: _Fetch[_Item], paging: Paging, row: Callable[[_Item], Row]
) -> AsyncGenerator[_Batch, None]:
    """Yield the rows of a page, or of the whole list."""
    start, left = paging.start, paging.size
    while True:
        limit = _BATCH_ROWS if left is None else min(_BATCH_ROWS, left)
        found, next_start = await fetch(start, limit)
        yield _Batch([row(each) for each in found], next_start)
        left = None if left is None else left - len(found)
        if next_start is None or left == 0:
            return
        start = next_start


def _row(listed: ListedDocument) -> dict[str, Any]:
    media_id, document = listed
    is_prompt = prompt_id_of(document) is not None
    row: dict[str, Any] = {"id": written(media_id, prompt=is_prompt)}
    if (name := document.get("name")) is not None:
        row["name"] = name
    if (source := document.get("media_source")) is not None:
        row["media_source"] = source
    if (language := language_of(document)) is not None:
        row["language"] = language
    row["is_prompt"] = is_prompt
    if (content_type := document.get("content_type")) is not None:
        row["content_type"] = content_type
    return row
