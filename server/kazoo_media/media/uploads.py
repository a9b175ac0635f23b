"""Uploads: how bytes become a media's content. The one path, for every surface.

Theory of operation:

1. What can be refused without reading is refused: unknown media, type, declared size, full queue.
2. The first bytes are sniffed: what is inside decides, not the declared type.
3. `transfer.py`: an intent row is written, then the bytes go at the same time to the original's
blob and, when
   normalization is on, through the converter to a second one. The slowest part sets the pace.
4. The end is complete or an error (`intake.py`). On any error both blobs are discarded; the
previous content was never
   touched.
5. Both blobs are durable before the one metadata transaction that makes them the content. Then
comes the answer.

A failed conversion does not fail the upload: the original is kept and served, the document says
why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from kazoo_media.access.accounts import WriteScope
from kazoo_media.audio.formats import (
    ACCEPTED_TYPES,
    AudioFormat,
    essence,
    format_of,
    same_container,
    same_format,
)
from kazoo_media.audio.inspect.head import Head
from kazoo_media.content.intake import Declared, Finish, Intake, Source
from kazoo_media.content.normalization import Normalizer, check_preset
from kazoo_media.content.renditions import Renditions
from kazoo_media.content.transfer import Received, Transfer
from kazoo_media.documents.rules import with_content_keys
from kazoo_media.errors import (
    ConflictError,
    NotAudioError,
    StaleRevisionError,
    TooLargeError,
    UnsupportedMediaTypeError,
)
from kazoo_media.media.library import Change, Library, Put
from kazoo_media.media.measuring import Measuring
from kazoo_media.metadata.store import MediaStore
from kazoo_media.model import Media, next_revision, unix_time_ms
from kazoo_media.settings import MAX_UPLOAD_SIZE, Settings

__all__ = ["Declared", "Finish", "Source", "Upload", "Uploads"]

_Look: TypeAlias = Callable[[], Awaitable[Change]]
"""Returns the media as it is, and as it is to be."""

_UNTYPED = ("", "application/octet-stream")


class Uploads:
    """Begins uploads."""

    def __init__(
        self,
        store: MediaStore,
        renditions: Renditions,
        library: Library,
        settings: Settings,
        normalizer: Normalizer,
        measuring: Measuring,
    ) -> None:
        self._store = store
        self._renditions = renditions
        self._library = library
        self._settings = settings
        self._normalizer = normalizer
        self._measuring = measuring

    async def begin(self, scope: WriteScope, media_id: str) -> Upload:
        """Return an upload that replaces the content of a media.

        Raises:
            MediaNotFoundError: it does not exist or was deleted.
        """

        async def look() -> Change:
            media = await self._library.get(scope, media_id)
            return Change(media, media)

        return await self._begun(scope, look)

    async def begin_put(self, scope: WriteScope, put: Put) -> Upload:
        """Return an upload that creates or changes a document together with its content.

        Raises:
            As `Library.change_of`.
        """
        return await self._begun(scope, lambda: self._library.change_of(scope, put))

    async def _begun(self, scope: WriteScope, look: _Look) -> Upload:
        change = await look()
        return Upload(
            media=change.after,
            _change=change,
            _account_id=scope.account_id,
            _limit_bytes=await self._settings.get(MAX_UPLOAD_SIZE),
            _look=look,
            _store=self._store,
            _renditions=self._renditions,
            _normalizer=self._normalizer,
            _measuring=self._measuring,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload whose bytes may come.

    Attributes:
        media: What the bytes are for, as it was when the upload began; a new one as it is to be.
    """

    media: Media
    _change: Change
    _account_id: str
    _limit_bytes: int
    _look: _Look
    _store: MediaStore
    _renditions: Renditions
    _normalizer: Normalizer
    _measuring: Measuring

    async def receive(self, declared: Declared, source: Source) -> Change:
        """Make the bytes of a source the content, durable and live in one moment with the document;
        return both states of the media.

        After any error, and after a cancellation, what was there before is live and unchanged.

        What can be refused for what is declared is refused before a byte is read.

        Raises:
            UnsupportedMediaTypeError: the declared type is not one that is stored.
            ValidationError: there is no preset of that name.
            EmptyContentError: no bytes.
            NotAudioError: recognised as something else, or not recognised and of no declared type.
            TooLargeError: more bytes than the limit, declared or sent.
            IncompleteUploadError: other than the declared size, or the source says so.
            ContentMismatchError: the finish does not match what arrived.
            QueueFullError: too many conversions wait; nothing was read.
            MediaNotFoundError, ConflictError, ValidationError: others have changed the media so
                that the upload fits it no more.
            StorageFullError, StoreUnavailableError: of the stores.
        """
        _check_declared(declared, self._limit_bytes)
        async with self._normalizer.admit(declared.preset) as normalization:
            intake = Intake(source, declared, self._limit_bytes)
            head = await intake.read_head()
            source_format, content_type = _recognised(head, declared, self._change.after)
            transfer = Transfer(self._renditions, self._account_id)
            try:
                received = await transfer.run(
                    intake, head, source_format, content_type, normalization
                )
                return await self._commit(declared, received)
            except BaseException:
                await transfer.discard()
                raise

    async def _commit(self, declared: Declared, received: Received) -> Change:
        """Make the content live; what others changed in the document meanwhile is kept."""
        change = self._change
        while True:
            now_ms = unix_time_ms()
            before, after = change.before, _with_content(change, declared, received, now_ms)
            try:
                if before is None:
                    await self._store.insert_media(after)
                else:
                    await self._store.commit_content(after, before.revision, now_ms)
            except StaleRevisionError:
                change = await self._look()
            except ConflictError:
                change = await self._look()
                if change.before is None:  # the id is that of a soft-deleted media
                    raise
            else:
                self._measuring.soon(after)
                return Change(before, after)


def _check_declared(declared: Declared, limit_bytes: int) -> None:
    check_preset(declared.preset)
    content_type = essence(declared.content_type or "")
    if content_type not in _UNTYPED and format_of(content_type) is None:
        message = f"content type {content_type!r} is not one that can be stored"
        raise UnsupportedMediaTypeError(message, ACCEPTED_TYPES)
    if declared.size_bytes is not None and declared.size_bytes > limit_bytes:
        raise TooLargeError(limit_bytes)


def _with_content(change: Change, declared: Declared, received: Received, now_ms: int) -> Media:
    """Return what is to be stored: the media after the change with its new content."""
    outcome = dict(received.outcome)
    if declared.attachment_name:
        outcome["attachment_name"] = declared.attachment_name
    after = replace(
        change.after,
        document=with_content_keys(change.after.document, received.content, outcome),
        modified_ms=now_ms,
        content=received.content,
    )
    if change.before is None:
        return replace(after, created_ms=now_ms)
    return replace(after, revision=next_revision(change.before.revision))


def _recognised(found: Head, declared: Declared, media: Media) -> tuple[AudioFormat, str]:
    """Return the format of an upload and the type that the original is stored and served as.

    A declared alias of what is inside is kept; where nothing useful is declared, the document's
    `content_type` helps.

    Raises:
        NotAudioError: recognised as something else, or not recognised and of no declared type.
    """
    if found.label is not None:
        raise NotAudioError(found.label)
    wished = essence(declared.content_type or "")
    if wished in _UNTYPED and media.content is None:
        wished = essence(media.document.get("content_type") or "")
    wished_format = format_of(wished)
    if found.format is None:
        if wished_format is None:
            raise NotAudioError("of an unknown kind")
        return wished_format, wished
    if wished_format is not None and (
        same_format(wished, found.format.content_type)
        or same_container(wished_format, found.format)
    ):
        return found.format, wished
    return found.format, found.format.content_type
