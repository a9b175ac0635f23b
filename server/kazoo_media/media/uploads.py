"""Uploads: how bytes become a media's content; all surfaces use this path.

Theory of operation:

1. An upload that can be refused unread is refused: unknown media, type, declared size, full queue.
2. The first bytes are sniffed: the content decides, not the declared type.
3. An intent row is written (`transfer.py`). Then the bytes go to the original's blob and, if
   normalization is on, at the same time through the converter to a second blob. The slowest part
   sets the pace.
4. The end is either complete or an error (`intake.py`). On an error both blobs are discarded; the
   previous content was never touched.
5. Both blobs are durable before the single metadata transaction that makes them the content. Only
   then does the client get its answer.

If the conversion fails, the upload still succeeds: the original is kept and served, and the
document has the error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from kazoo_media.access.accounts import WriteScope
from kazoo_media.audio.formats import (
    ACCEPTED_TYPES,
    BARE_FRAMES,
    UNTYPED,
    essence,
    format_of,
    raw_type_of_name,
    same_container,
    same_format,
)
from kazoo_media.audio.inspect.head import Head, as_typed
from kazoo_media.audio.inspect.raw_pcm import RawPcm, raw_pcm
from kazoo_media.content.intake import Declared, Finish, Intake, Source
from kazoo_media.content.normalization import Normalization, Normalizer, check_preset
from kazoo_media.content.renditions import Renditions
from kazoo_media.content.transfer import Received, Transfer
from kazoo_media.documents.rules import conversion_outcome, with_content_keys
from kazoo_media.errors import (
    ConflictError,
    InternalError,
    MediaError,
    NotAudioError,
    StaleRevisionError,
    TooLargeError,
    UnsupportedMediaTypeError,
)
from kazoo_media.media.library import Change, Library, Put
from kazoo_media.media.measuring import Measuring
from kazoo_media.metadata.store import MediaStore
from kazoo_media.model import Keep, Media, next_revision, unix_time_ms
from kazoo_media.settings import KEPT_VERSIONS, MAX_UPLOAD_SIZE, Settings

__all__ = ["Declared", "Finish", "Source", "Upload", "Uploads", "check_type"]

Look: TypeAlias = Callable[[], Awaitable[Change]]
"""Returns the media before and after the upload's change of its document."""


class Destination(Protocol):
    """What stores the media of an upload in one transaction, as `MediaStore` does."""

    async def insert_media(self, media: Media) -> None:
        """Add a media with its content."""

    async def commit_content(
        self, media: Media, expected_revision: str, now_ms: int, keep: Keep
    ) -> None:
        """Make the content that of a live media."""


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

        return await self.begin_change(scope, look, self._store)

    async def begin_put(
        self, scope: WriteScope, put: Put, destination: Destination | None = None
    ) -> Upload:
        """Return an upload that creates or changes a document together with its content.

        Args:
            scope: Has the account.
            put: The document.
            destination: Stores the result; None: the metadata store.

        Raises:
            The errors of `Library.change_of`.
        """
        destination = destination or self._store
        return await self.begin_change(
            scope, lambda: self._library.change_of(scope, put), destination
        )

    async def begin_change(self, scope: WriteScope, look: Look, destination: Destination) -> Upload:
        """Return an upload that makes a change of a document together with its content.

        Args:
            scope: Has the account.
            look: Returns the change; called again if another writer was faster.
            destination: Stores the result.

        Raises:
            The errors of `look`.
        """
        change = await look()
        values = await self._settings.now()
        return Upload(
            media=change.after,
            _change=change,
            limit_bytes=values[MAX_UPLOAD_SIZE],
            _kept_versions=values[KEPT_VERSIONS],
            _account_id=scope.account_id,
            _look=look,
            _destination=destination,
            _renditions=self._renditions,
            _normalizer=self._normalizer,
            _measuring=self._measuring,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload that is ready for its bytes.

    Attributes:
        media: The media at the beginning of the upload; a new one as it will be stored.
        limit_bytes: Maximum size of the upload.
    """

    media: Media
    limit_bytes: int
    _kept_versions: int
    _change: Change
    _account_id: str
    _look: Look
    _destination: Destination
    _renditions: Renditions
    _normalizer: Normalizer
    _measuring: Measuring

    async def receive(self, declared: Declared, source: Source) -> Change:
        """Make the bytes of a source the content, durable and live together with the document.

        Return the media before and after. After an error or a cancellation the previous content is
        live and unchanged. Invalid declarations are refused before a byte is read.

        Raises:
            UnsupportedMediaTypeError: the declared type cannot be stored.
            ValidationError: no preset has the declared name.
            EmptyContentError: the source has no bytes.
            NotAudioError: the bytes are something else, or unknown without a declared type.
            TooLargeError: the declared or the received size exceeds the limit.
            IncompleteUploadError: the source ended early, or its size is not the declared one.
            ContentMismatchError: the finish does not match the received bytes.
            QueueFullError: too many conversions are waiting; nothing was read.
            MediaNotFoundError, ConflictError, ValidationError: the media was changed so that the
                upload no longer fits it.
            StorageFullError, StoreUnavailableError: a store failed.
        """
        with self._counted():
            return await self._receive(declared, source)

    async def _receive(self, declared: Declared, source: Source) -> Change:
        _check_declared(declared, self.limit_bytes)
        async with self._admitted(declared) as normalization:
            intake = Intake(source, declared, self.limit_bytes, self._normalizer.metrics)
            head = await intake.read_head()
            content_type = _recognised(head, declared, self._change.after)
            source_format, head = as_typed(head, content_type)
            if source_format is None:
                raise NotAudioError(found="of an unknown type")
            transfer = Transfer(self._renditions, self._account_id)
            try:
                received = await transfer.run(
                    intake, head, source_format, content_type, normalization
                )
                return await self._commit(declared, received)
            except BaseException:
                await transfer.discard()
                raise

    def _admitted(self, declared: Declared) -> AbstractAsyncContextManager[Normalization | None]:
        if not declared.normalizes:
            return nullcontext()
        return self._normalizer.admit(declared.preset)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        result = "CANCELLED"
        try:
            yield
            result = "STORED"
        except MediaError as error:
            result = error.reason
            raise
        except Exception:
            result = InternalError.reason
            raise
        finally:
            self._normalizer.metrics.upload_ended(result)

    async def _commit(self, declared: Declared, received: Received) -> Change:
        """Make the content live; keep concurrent changes of the document."""
        change = self._change
        while True:
            now_ms = unix_time_ms()
            before, after = change.before, _with_content(change, declared, received, now_ms)
            try:
                if before is None:
                    await self._destination.insert_media(after)
                else:
                    keep = Keep(self._kept_versions, conversion_outcome(before.document))
                    await self._destination.commit_content(after, before.revision, now_ms, keep)
            except StaleRevisionError:
                change = await self._look()
            except ConflictError:
                change = await self._look()
                if change.before is None:  # a soft-deleted media has the id
                    raise
            else:
                self._measuring.soon(after)
                return Change(before, after)


def _check_declared(declared: Declared, limit_bytes: int) -> None:
    check_preset(declared.preset)
    check_type(declared.content_type or "")
    if declared.size_bytes is not None and declared.size_bytes > limit_bytes:
        raise TooLargeError(limit_bytes)


def check_type(content_type: str) -> None:
    """Check that audio of a declared type can be stored; "" is detected from the bytes.

    Raises:
        UnsupportedMediaTypeError: it cannot, or the type of raw PCM lacks a parameter.
    """
    if essence(content_type) not in ("", *UNTYPED) and format_of(content_type) is None:
        raise _not_storable(essence(content_type))
    _raw_pcm(content_type)


def _not_storable(content_type: str, reason: str = "") -> UnsupportedMediaTypeError:
    message = f"content type {content_type!r} cannot be stored"
    return UnsupportedMediaTypeError(f"{message}: {reason}" if reason else message, ACCEPTED_TYPES)


def _raw_pcm(content_type: str) -> RawPcm | None:
    """Return the raw PCM of a type, or None.

    Raises:
        UnsupportedMediaTypeError: the type lacks a parameter, or has an unsupported one.
    """
    try:
        return raw_pcm(content_type)
    except ValueError as error:
        raise _not_storable(content_type, str(error)) from error


def _with_content(change: Change, declared: Declared, received: Received, now_ms: int) -> Media:
    """Return the media after the change, with its new content."""
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


def _recognised(found: Head, declared: Declared, media: Media) -> str:
    """Return the type that an original is stored and served as.

    A declared alias of the detected type is kept. If nothing useful is declared, the file name
    counts for formats without magic, then the document's `content_type`.

    Raises:
        NotAudioError: the bytes are something else.
        UnsupportedMediaTypeError: the document's type lacks a parameter.
    """
    if found.label is not None:
        raise NotAudioError(found=found.label)
    wished = declared.content_type or ""
    if essence(wished) in ("", *UNTYPED):
        wished = raw_type_of_name(declared.file_name)
        if not wished and media.content is None:
            wished = media.document.get("content_type") or ""
    raw, wished_format = _raw_pcm(wished), format_of(wished)
    # A frame sync is little evidence against samples: any bytes may look like one.
    if raw is not None and found.format in (None, *BARE_FRAMES):
        return raw.content_type
    wished = essence(wished)
    if found.format is None:
        return wished
    if wished_format is not None and (
        same_format(wished, found.format.content_type)
        or same_container(wished_format, found.format)
    ):
        return wished
    return found.format.content_type
