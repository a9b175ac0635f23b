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

import time
from dataclasses import replace

from kazoo_media.accounts import WriteScope
from kazoo_media.audio.formats import (
    ACCEPTED_TYPES,
    AudioFormat,
    format_of,
    same_container,
    same_format,
)
from kazoo_media.audio.presets import PRESET_NAMES
from kazoo_media.audio.sniff import Sniffed, sniff
from kazoo_media.blobs.store import BlobStore
from kazoo_media.documents import with_content_keys
from kazoo_media.errors import (
    NotAudioError,
    StaleRevisionError,
    TooLargeError,
    UnsupportedMediaTypeError,
    ValidationError,
    Violation,
)
from kazoo_media.intake import Declared, Finish, Intake, Source
from kazoo_media.library import Library
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import Media, next_revision
from kazoo_media.normalization import Normalizer
from kazoo_media.settings import Settings
from kazoo_media.transfer import Received, Transfer

__all__ = ["Declared", "Finish", "Source", "Uploads"]

_UNTYPED = ("", "application/octet-stream")


class Uploads:
    """Replaces the content of media."""

    def __init__(
        self,
        store: MetadataStore,
        blobs: BlobStore,
        library: Library,
        settings: Settings,
        normalizer: Normalizer,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._library = library
        self._settings = settings
        self._normalizer = normalizer

    async def check(self, scope: WriteScope, media_id: str, declared: Declared) -> Media:
        """Refuse what can be refused without reading a byte; return the media as it is.

        Raises:
            MediaNotFoundError: it does not exist or was deleted.
            UnsupportedMediaTypeError: the declared type is not one that is stored.
            TooLargeError: the declared size is over the limit.
            ValidationError: there is no preset of that name.
        """
        if declared.preset and declared.preset not in PRESET_NAMES:
            known = ", ".join(PRESET_NAMES)
            message = f"Value not found in enumerated list of values: {known}"
            extra = {"target": list(PRESET_NAMES), "value": declared.preset}
            raise ValidationError([Violation("preset", "enum", message, extra)])
        media = await self._library.get(scope, media_id)
        content_type = _bare(declared.content_type)
        if content_type not in _UNTYPED and format_of(content_type) is None:
            message = f"content type {content_type!r} is not one that can be stored"
            raise UnsupportedMediaTypeError(message, ACCEPTED_TYPES)
        limit = await self._limit_bytes()
        if declared.size_bytes is not None and declared.size_bytes > limit:
            raise TooLargeError(limit)
        return media

    async def replace_content(
        self, scope: WriteScope, media_id: str, declared: Declared, source: Source
    ) -> Media:
        """Make the bytes of a source the content of a media, durable and live, and return it.

        After any error, and after a cancellation, the previous content is live and unchanged.

        Raises:
            As `check`, and:
            EmptyContentError: no bytes.
            NotAudioError: recognised as something else, or not recognised and of no declared type.
            TooLargeError: more bytes than the limit.
            IncompleteUploadError: other than the declared size, or the source says so.
            ContentMismatchError: the finish does not match what arrived.
            QueueFullError: too many conversions wait; nothing was read.
            StorageFullError, StoreUnavailableError: of the stores.
        """
        media = await self.check(scope, media_id, declared)
        async with self._normalizer.admit(declared.preset) as normalization:
            intake = Intake(source, declared, await self._limit_bytes())
            await intake.read_head()
            found = sniff(intake.head)
            source_format, content_type = _recognised(found, declared, media)
            transfer = Transfer(self._store, self._blobs, scope.account_id, normalization)
            try:
                received = await transfer.run(intake, source_format, content_type)
                return await self._commit(scope, media_id, declared, received)
            except BaseException:
                await transfer.discard()
                raise

    async def _commit(
        self, scope: WriteScope, media_id: str, declared: Declared, received: Received
    ) -> Media:
        """Make the content live; a change of the document meanwhile is kept."""
        outcome = dict(received.outcome)
        if declared.attachment_name:
            outcome["attachment_name"] = declared.attachment_name
        while True:
            current = await self._library.get(scope, media_id)
            now_ms = int(time.time() * 1000)
            changed = replace(
                current,
                document=with_content_keys(current.document, received.content, outcome),
                revision=next_revision(current.revision),
                modified_ms=now_ms,
                content=received.content,
            )
            try:
                await self._store.commit_content(changed, current.revision, now_ms)
            except StaleRevisionError:
                continue
            return changed

    async def _limit_bytes(self) -> int:
        limit: int = await self._settings.get("crossbar", "max_upload_size")
        return limit


def _bare(content_type: str | None) -> str:
    """Return a MIME type in lower case and without parameters, "" for none."""
    return (content_type or "").partition(";")[0].strip().lower()


def _recognised(found: Sniffed, declared: Declared, media: Media) -> tuple[AudioFormat, str]:
    """Return the format of an upload and the type that the original is stored and served as.

    A declared alias of what is inside is kept; where nothing useful is declared, the document's
    `content_type` helps.

    Raises:
        NotAudioError: recognised as something else, or not recognised and of no declared type.
    """
    if found.label is not None:
        raise NotAudioError(found.label)
    wished = _bare(declared.content_type)
    if wished in _UNTYPED and media.content is None:
        wished = _bare(media.document.get("content_type"))
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
