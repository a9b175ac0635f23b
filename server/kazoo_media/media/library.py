"""The library: create, get, list, update and delete documents."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from kazoo_media.access.accounts import PlayScope, ReadScope, WriteScope
from kazoo_media.content.speech import Speech, asks_for_speech
from kazoo_media.content.transfer import Received
from kazoo_media.documents.large import computed, is_large
from kazoo_media.documents.limits import check_filters
from kazoo_media.documents.rules import (
    check_media_id,
    conversion_outcome,
    merged,
    prompt_media_id,
    validated,
    with_content_keys,
)
from kazoo_media.errors import (
    ConflictError,
    MediaNotFoundError,
    PreconditionFailedError,
    StaleRevisionError,
    ValidationError,
    Violation,
)
from kazoo_media.media.measuring import Measuring
from kazoo_media.metadata.store import MediaStore
from kazoo_media.model import (
    Keep,
    ListedDocument,
    Media,
    MediaQuery,
    first_revision,
    next_revision,
    unix_time_ms,
)
from kazoo_media.settings import DEFAULT_LANGUAGE, KEPT_VERSIONS, Settings

_ITERATION_ROWS = 500

_Item = TypeVar("_Item", Media, ListedDocument)

Edit = Callable[[Media], Mapping[str, Any]]
"""Returns the document that a client wants, from the stored media; may run more than once."""


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """A page of a list.

    Every page except the last is full, even if documents change meanwhile, unless its documents are
    large.

    Attributes:
        next_start: Id of the first media of the next page, None on the last page.
    """

    items: list[_Item]
    next_start: str | None


@dataclass(frozen=True, slots=True)
class Put:
    """A document to be created or changed.

    Attributes:
        media_id: The id, unless the document is a prompt's.
        data: The document as the client wrote it.
        edit: Changes an existing document.
        only_create: Whether an existing document is an error.
    """

    media_id: str
    data: Mapping[str, Any]
    edit: Edit
    only_create: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A media before and after a change that is checked but not stored yet.

    Attributes:
        before: None if the media is new.
    """

    before: Media | None
    after: Media


def new_media_id() -> str:
    """Return a new random id."""
    return secrets.token_hex(16)


class Library:
    """The documents of all accounts."""

    def __init__(
        self, store: MediaStore, settings: Settings, speech: Speech, measuring: Measuring
    ) -> None:
        self._store = store
        self._settings = settings
        self._speech = speech
        self._measuring = measuring

    async def create(self, scope: WriteScope, data: Mapping[str, Any], media_id: str = "") -> Media:
        """Add a document and return it; with its audio if it requests speech.

        Args:
            data: The document as the client wrote it.
            media_id: Chosen by the client; "": a random one. A prompt's id always consists of its
                language and prompt id.

        Raises:
            ValidationError: the document breaks rules; the error has all violations.
            ConflictError: the id exists, perhaps soft-deleted.
            SpeechFailedError: the provider of the requested speech failed; nothing was added.
        """
        default_language = await self._settings.get(DEFAULT_LANGUAGE)
        document = await computed(lambda: validated(data, None, default_language), data)
        media_id = _checked_id(document, media_id or new_media_id())
        async with self._speech.speaking(scope) as speaker:
            spoken = None
            if asks_for_speech(document, None):
                await self._check_free(scope, media_id)
                spoken = await speaker.say(document)
            media = _with_speech(_new_media(scope, media_id, document), spoken)
            await self._store.insert_media(media)
        self._measuring.soon(media)
        return media

    async def change_of(self, scope: WriteScope, put: Put) -> Change:
        """Return the change that a put makes.

        Raises:
            ValidationError: the document breaks rules, or a prompt would become another prompt.
            ConflictError: the document exists and is only to be created.
        """
        default_language = await self._settings.get(DEFAULT_LANGUAGE)
        document = await computed(lambda: validated(put.data, None, default_language), put.data)
        media_id = _checked_id(document, put.media_id)
        current = await self._store.get_media(scope.account_id, media_id)
        if current is None:
            return Change(None, _new_media(scope, media_id, document))
        if put.only_create:
            raise ConflictError(media_id)
        document = await _edited(current, put.edit, put.data, default_language)
        _check_same_prompt(media_id, document)
        return Change(current, replace(current, document=document))

    async def _check_free(self, scope: WriteScope, media_id: str) -> None:
        """Raise ConflictError early, to save work; the insertion decides."""
        if await self._store.get_media(scope.account_id, media_id) is not None:
            raise ConflictError(media_id)

    async def get(self, scope: PlayScope, media_id: str) -> Media:
        """Return a document.

        Raises:
            MediaNotFoundError: it does not exist or was deleted.
            ForbiddenError: it is a recording, and the caller only plays.
        """
        media = await self._store.get_media(scope.account_id, media_id)
        if media is None:
            raise MediaNotFoundError(media_id)
        scope.check(media)
        return media

    async def list_page(self, scope: ReadScope, query: MediaQuery) -> Page[Media]:
        """Return one page.

        Raises:
            ValidationError: the filters of the query have too much.
        """
        check_filters(query.filters)
        one_more = replace(query, limit=query.limit + 1)
        found = await self._store.list_media(scope.account_id, one_more)
        page = _page(found, query.limit)
        if page.next_start is None and is_large([media.document for media in found]):
            # The store may have returned fewer than there are.
            last = found[-1].id
            rest = await self._store.list_media(
                scope.account_id, replace(query, start=last, limit=2)
            )
            page = Page(found, next((each.id for each in rest if each.id != last), None))
        return page

    async def list_documents(self, scope: ReadScope, query: MediaQuery) -> Page[ListedDocument]:
        """Return one page without the content of its media.

        Raises:
            ValidationError: the filters of the query have too much.
        """
        check_filters(query.filters)
        one_more = replace(query, limit=query.limit + 1)
        return _page(await self._store.list_documents(scope.account_id, one_more), query.limit)

    async def iterate(self, scope: ReadScope, query: MediaQuery) -> AsyncIterator[Media]:
        """Yield all matches of a query in constant memory; its limit is ignored."""
        page = await self.list_page(scope, replace(query, limit=_ITERATION_ROWS))
        while True:
            for media in page.items:
                yield media
            if page.next_start is None:
                return
            page = await self.list_page(
                scope, replace(query, limit=_ITERATION_ROWS, start=page.next_start)
            )

    async def update(
        self,
        scope: WriteScope,
        media_id: str,
        edit: Edit,
        sent: Mapping[str, Any],
        if_revision: str = "",
    ) -> Media:
        """Store the result of `edit` and return it.

        The audio stays, unless the document requests different speech: then both change at once.

        Args:
            edit: Called with the current media; called again if another writer was faster. It may
                run in another thread.
            sent: What the client has sent for the edit.
            if_revision: The required revision; "": any.

        Raises:
            MediaNotFoundError: it does not exist or was deleted.
            PreconditionFailedError: it has another revision.
            ValidationError: the document breaks rules, or a prompt would become another prompt.
            SpeechFailedError: the provider failed; nothing was changed.
        """
        default_language = await self._settings.get(DEFAULT_LANGUAGE)
        async with self._speech.speaking(scope) as speaker:
            while True:
                current = await self.get(scope, media_id)
                document = await _edited(current, edit, sent, default_language)
                _check_same_prompt(media_id, document)
                _check_revision(current, if_revision)
                spoken = await speaker.say(document) if asks_for_speech(document, current) else None
                try:
                    return await self._replace(current, document, spoken)
                except StaleRevisionError:
                    continue

    async def _replace(
        self, current: Media, document: Mapping[str, Any], spoken: Received | None
    ) -> Media:
        now_ms = unix_time_ms()
        outcome = conversion_outcome(current.document)
        changed = replace(
            current,
            document=with_content_keys(document, current.content, outcome),
            revision=next_revision(current.revision),
            modified_ms=now_ms,
        )
        if spoken is None:
            await self._store.replace_document(changed, current.revision)
            return changed
        changed = _with_speech(changed, spoken)
        keep = Keep(await self._settings.get(KEPT_VERSIONS), outcome)
        await self._store.commit_content(changed, current.revision, now_ms, keep)
        self._measuring.soon(changed)
        return changed

    async def patch(
        self, scope: WriteScope, media_id: str, changes: Mapping[str, Any], if_revision: str = ""
    ) -> Media:
        """Merge changes deeply into a document and return it; null removes a key.

        A removed language is not replaced by the default: the document then has none.

        Raises:
            As `update`.
        """
        keeps_language = changes.get("language", "") is not None

        def edit(current: Media) -> Mapping[str, Any]:
            document = merged(current.document, changes)
            if not keeps_language or "language" not in current.document:
                document.setdefault("language", None)
            return document

        return await self.update(scope, media_id, edit, changes, if_revision)

    async def delete(
        self, scope: WriteScope, media_id: str, *, hard: bool, if_revision: str = ""
    ) -> Media:
        """Delete a document with its audio and return the deleted document.

        Args:
            hard: Whether to delete permanently; otherwise the document is hidden and its id stays
                taken. Prompts are always deleted permanently.
            if_revision: The required revision; "": any.

        Raises:
            MediaNotFoundError: it does not exist or was deleted.
            PreconditionFailedError: it has another revision.
        """
        while True:
            current = await self.get(scope, media_id)
            _check_revision(current, if_revision)
            remove = self._store.remove_media
            if not hard and current.prompt_id is None:
                remove = self._store.soft_delete_media
            try:
                await remove(scope.account_id, media_id, current.revision, unix_time_ms())
            except StaleRevisionError:
                continue
            return current

    async def purge(self, scope: WriteScope, deleted_until_ms: int) -> int:
        """Permanently remove media that were soft-deleted at or before a time; return how many.

        Their ids are free afterwards; the sweeper removes the audio.
        """
        total = 0
        while True:
            now_ms = unix_time_ms()
            purged = await self._store.purge_media(
                scope.account_id, deleted_until_ms, _ITERATION_ROWS, now_ms
            )
            total += purged
            if purged < _ITERATION_ROWS:
                return total


async def _edited(
    current: Media, edit: Edit, sent: Mapping[str, Any], default_language: str
) -> dict[str, Any]:
    return await computed(
        lambda: validated(edit(current), current.content, default_language), current.document, sent
    )


def _page(rows: list[_Item], limit: int) -> Page[_Item]:
    next_start = rows[limit].id if len(rows) > limit else None
    return Page(rows[:limit], next_start)


def _checked_id(document: Mapping[str, Any], media_id: str) -> str:
    """Return the id of a new media; a prompt's consists of its language and prompt id.

    Raises:
        ValidationError: no media can have this id.
    """
    wanted = prompt_media_id(document)
    if wanted is not None:
        check_media_id(wanted, "prompt_id")
        return wanted
    check_media_id(media_id)
    return media_id


def _new_media(scope: WriteScope, media_id: str, document: Mapping[str, Any]) -> Media:
    now_ms = unix_time_ms()
    return Media(
        account_id=scope.account_id,
        id=media_id,
        document=document,
        revision=first_revision(),
        created_ms=now_ms,
        modified_ms=now_ms,
    )


def _with_speech(media: Media, spoken: Received | None) -> Media:
    if spoken is None:
        return media
    document = with_content_keys(media.document, spoken.content, spoken.outcome)
    return replace(media, document=document, content=spoken.content)


def _check_revision(current: Media, if_revision: str) -> None:
    if if_revision and current.revision != if_revision:
        raise PreconditionFailedError(expected=if_revision, actual=current.revision)


def _check_same_prompt(media_id: str, document: Mapping[str, Any]) -> None:
    wanted = prompt_media_id(document)
    if wanted is not None and wanted != media_id:
        text = "Changing the prompt_id on an existing prompt is not allowed"
        cause = document["prompt_id"]
        raise ValidationError([Violation("prompt_id", "invalid", text, {"cause": cause})])
