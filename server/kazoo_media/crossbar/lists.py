"""Operations that list: media, prompts, languages. Lists of any length pass in small pieces."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson

from kazoo_media.accounts import ReadScope
from kazoo_media.crossbar.answers import MESSAGE_BYTES, Answer
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.identifiers import decoded, written
from kazoo_media.crossbar.queries import Paging, media_query, paging_of
from kazoo_media.crossbar.requests import Request
from kazoo_media.library import Library
from kazoo_media.model import Media
from kazoo_media.prompts import Prompts
from kazoo_media.settings import Settings

_BATCH_ROWS = 500
_MISSING = "missing"

_Row = TypeVar("_Row")
_Fetch = Callable[[str, int], Awaitable[tuple[list[_Row], str | None]]]
"""Returns rows from a start key, at most a number of them, and the key after them."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """How rows become `data`.

    Attributes:
        revised: Whether the envelope has a revision: lists of strings have none.
    """

    opening: bytes
    closing: bytes
    revised: bool


_OBJECTS = _Shape(b"[", b"]", revised=True)
_COUNTS = _Shape(b"[{", b"}]", revised=True)
_IDS = _Shape(b"[", b"]", revised=False)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some rows as JSON.

    Attributes:
        next_start: Key of the row after them, None at the end of the list.
    """

    rows: list[bytes]
    next_start: str | None


class Lists:
    """Answers requests for lists."""

    def __init__(
        self, library: Library, prompts: Prompts, settings: Settings, envelopes: Envelopes
    ) -> None:
        self._library = library
        self._prompts = prompts
        self._settings = settings
        self._envelopes = envelopes

    async def media(self, scope: ReadScope, request: Request) -> Answer:
        """List documents that match the filters."""
        paging = await self._paging(request)
        query = media_query(request, paging.start)

        async def fetch(start: str, limit: int) -> tuple[list[Media], str | None]:
            page = await self._library.list_page(
                scope, replace(query, start=start or None, limit=limit)
            )
            return page.items, page.next_start

        batches = _batches(fetch, paging, lambda media: orjson.dumps(_row(media)))
        return await self._answer(request, paging, _OBJECTS, batches)

    async def prompts(self, scope: ReadScope, request: Request) -> Answer:
        """Count the translations of each prompt."""

        async def fetch(start: str, limit: int) -> tuple[list[tuple[str, int]], str | None]:
            page = await self._prompts.count_prompts(scope, start, limit)
            return page.counts, page.next_start

        paging = await self._paging(request)
        batches = _batches(fetch, paging, lambda count: _count(*count))
        return await self._answer(request, paging, _COUNTS, batches)

    async def languages(self, scope: ReadScope, request: Request) -> Answer:
        """Count the media of each language."""
        counts: dict[str, int] = {}
        for language, count in await self._prompts.count_languages(scope):
            key = _MISSING if language is None else language
            counts[key] = counts.get(key, 0) + count

        async def batches() -> AsyncGenerator[_Batch, None]:
            yield _Batch([_count(*count) for count in sorted(counts.items())], None)

        paging = await self._paging(request)
        whole = replace(paging, start="", sent_start="")
        return await self._answer(request, whole, _COUNTS, batches())

    async def translations(self, scope: ReadScope, request: Request) -> Answer:
        """List the ids of a prompt's media; the published page shows the prompt id as their start
        key.
        """
        prompt_id = decoded(request.target.name)
        paging = await self._paging(request)
        if paging.start in ("", prompt_id) and paging.size is not None:
            paging = replace(paging, start="", sent_start=prompt_id)

        async def fetch(start: str, limit: int) -> tuple[list[str], str | None]:
            page = await self._prompts.translations(scope, prompt_id, start, limit)
            return page.ids, page.next_start

        batches = _batches(fetch, paging, lambda found: orjson.dumps(written(found, prompt=True)))
        return await self._answer(request, paging, _IDS, batches)

    async def media_of_language(self, scope: ReadScope, request: Request) -> Answer:
        """List the ids of a language's media."""
        name = decoded(request.target.name)
        language = None if name == _MISSING else name
        prefix = f"{name.lower()}/"

        async def fetch(start: str, limit: int) -> tuple[list[str], str | None]:
            page = await self._prompts.media_of_language(scope, language, start, limit)
            return page.ids, page.next_start

        def row(media_id: str) -> bytes:
            return orjson.dumps(written(media_id, prompt=media_id.startswith(prefix)))

        paging = await self._paging(request)
        return await self._answer(request, paging, _IDS, _batches(fetch, paging, row))

    async def _paging(self, request: Request) -> Paging:
        return paging_of(request, await self._settings.get("crossbar", "pagination_page_size"))

    async def _answer(
        self,
        request: Request,
        paging: Paging,
        shape: _Shape,
        batches: AsyncGenerator[_Batch, None],
    ) -> Answer:
        """Return the answer; what fits into two messages gets a Content-Length."""
        stream = self._stream(request, paging, shape, batches)
        data = await anext(stream)
        more = await anext(stream, b"")
        return Answer(200, data + more, rest=stream) if more else Answer.whole(200, data)

    async def _stream(
        self,
        request: Request,
        paging: Paging,
        shape: _Shape,
        batches: AsyncGenerator[_Batch, None],
    ) -> AsyncGenerator[bytes, None]:
        digest = hashlib.md5(usedforsecurity=False)
        count, next_start = 0, None
        pending = bytearray(b'{"data":')
        async for batch in batches:
            if batch.rows:
                text = (b"," if count else shape.opening) + b",".join(batch.rows)
                digest.update(text)
                pending += text
                count += len(batch.rows)
            next_start = batch.next_start
            while len(pending) > MESSAGE_BYTES:
                yield bytes(pending[:MESSAGE_BYTES])
                del pending[:MESSAGE_BYTES]
        text = shape.closing if count else b"[]"
        digest.update(text)
        extra: dict[str, Any] = {}
        if shape.revised and count:
            extra["revision"] = digest.hexdigest()
        if paging.size is not None:
            extra |= _paging_keys(paging, count, next_start)
        yield bytes(pending) + text + self._envelopes.tail(request, extra)


def _paging_keys(paging: Paging, count: int, next_start: str | None) -> dict[str, Any]:
    keys: dict[str, Any] = {"page_size": count}
    if paging.sent_start:
        keys["start_key"] = paging.sent_start
    if next_start is not None:
        keys["next_start_key"] = written(next_start, prompt=True)
    return keys


async def _batches(
    fetch: _Fetch[_Row], paging: Paging, row: Callable[[_Row], bytes]
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


def _row(media: Media) -> dict[str, Any]:
    prompt = media.prompt_id is not None
    row: dict[str, Any] = {"id": written(media.id, prompt=prompt)}
    _copy(media, row, ("name", "media_source"))
    if media.language is not None:
        row["language"] = media.language
    row["is_prompt"] = prompt
    _copy(media, row, ("content_type",))
    return row


def _copy(media: Media, row: dict[str, Any], keys: Iterable[str]) -> None:
    for key in keys:
        value = media.document.get(key)
        if value is not None:
            row[key] = value


def _count(name: str, number: int) -> bytes:
    return orjson.dumps(name) + b":%d" % number
