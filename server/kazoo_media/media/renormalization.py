"""Renormalization: stored audio is converted again after a change of the settings.

Theory of operation:

1. A rendition that was made in exactly the requested way is skipped, so an interrupted run can be
   repeated and continues where it stopped.
2. In its turn, the stored original goes through the converter to a new blob. The live blobs stay
   readable and untouched.
3. One metadata transaction replaces the rendition beside the same original; the old one becomes
   dead. If the media has another original by then, the new upload wins: the conversion is
   discarded, and the new original is examined.
4. If the conversion fails, nothing changes: an old rendition is better than none.
5. Where a mix of channels turned out to be nearly silent, the first channel is converted by the
   same preset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kazoo_media.access.accounts import WriteScope
from kazoo_media.audio.conversion import failure_text
from kazoo_media.audio.inspect.head import Head, as_typed
from kazoo_media.audio.levels import ONE_CHANNEL
from kazoo_media.content.normalization import Normalization, Normalizer
from kazoo_media.content.renditions import Renditions, head_of
from kazoo_media.content.transfer import Received, Transfer
from kazoo_media.documents.rules import with_content_keys
from kazoo_media.errors import (
    ContentDamagedError,
    ContentNotFoundError,
    NormalizationFailedError,
    StaleRevisionError,
)
from kazoo_media.media.library import Library
from kazoo_media.media.measuring import Measuring
from kazoo_media.metadata.store import MediaStore
from kazoo_media.model import Media, Rendition, next_revision, unix_time_ms


@dataclass(frozen=True, slots=True)
class Renormalized:
    """A media whose normalized rendition is as requested.

    Attributes:
        converted: Whether it was made now.
    """

    media: Media
    converted: bool


class Renormalization:
    """Converts the originals of media again."""

    def __init__(
        self,
        store: MediaStore,
        renditions: Renditions,
        library: Library,
        normalizer: Normalizer,
        measuring: Measuring,
    ) -> None:
        self._store = store
        self._renditions = renditions
        self._library = library
        self._normalizer = normalizer
        self._measuring = measuring

    async def normalize(
        self, scope: WriteScope, media_id: str, *, preset: str = "", force: bool = False
    ) -> Renormalized:
        """Make the normalized rendition of a media by a preset ("": as the settings say).

        After an error or a cancellation the live content is unchanged.

        Args:
            force: Whether to convert even if the rendition was made in exactly this way.

        Raises:
            MediaNotFoundError: it does not exist or was deleted.
            ContentNotFoundError: it has no audio.
            NormalizationOffError: no preset is named and normalization is off.
            ValidationError: no preset has this name.
            NormalizationFailedError: the conversion failed; the text says why.
            StorageFullError, StoreUnavailableError: a store failed.
        """
        while True:
            media = await self._library.get(scope, media_id)
            if media.content is None:
                raise ContentNotFoundError(media_id)
            normalization = await self._normalizer.of_stored(preset)
            known = media.content.normalized
            as_wanted = known and known.normalization == normalization.fingerprint
            if as_wanted and not force and not (known and known.is_damaged):
                return Renormalized(media, converted=False)
            try:
                media = await self._convert(scope, media, media.content.original, normalization)
            except StaleRevisionError:
                continue
            return Renormalized(media, converted=True)

    async def use_one_channel(self, media: Media) -> None:
        """Convert the first channel of the original by the preset that mixed it to silence.

        Raises:
            As `normalize`.
            StaleRevisionError: the media now has another original.
        """
        if media.content is None or media.content.normalized is None:
            raise ContentNotFoundError(media.id)
        preset = (media.content.normalized.normalization or "").partition(" ")[0]
        normalization = await self._normalizer.of_stored(preset)
        normalization = replace(normalization, first_channel=True)
        scope = WriteScope(media.account_id)
        await self._convert(scope, media, media.content.original, normalization)

    async def _convert(
        self, scope: WriteScope, media: Media, original: Rendition, normalization: Normalization
    ) -> Media:
        """Convert an original and return its media with the new rendition.

        Raises:
            StaleRevisionError: the media now has another original.
        """
        transfer = Transfer(self._renditions, scope.account_id)
        try:
            found = await self._head_of(media, original)
            source_format, head = as_typed(found, original.content_type)
            if source_format is None:
                reason = f"{original.content_type} is not a known audio format"
                raise NormalizationFailedError(failure_text(reason))
            received = await transfer.run_again(original, head, source_format, normalization)
            if received.content.normalized is None:
                raise NormalizationFailedError(received.outcome["normalization_error"])
            if normalization.first_channel:
                known = received.outcome.get("normalization_warning")
                warning = f"{known}; {ONE_CHANNEL}" if known else ONE_CHANNEL
                received = replace(received, outcome={"normalization_warning": warning})
            return await self._commit(scope, media.id, received)
        finally:
            await transfer.discard()

    async def _commit(self, scope: WriteScope, media_id: str, received: Received) -> Media:
        """Store the new rendition beside its original; keep other changes of the document."""
        content = received.content
        while True:
            current = await self._library.get(scope, media_id)
            live = current.content
            if live is None or live.original.blob_key != content.original.blob_key:
                raise StaleRevisionError(media_id)
            if content.original.facts.clipped_samples is None:  # it may have been measured since
                content = replace(content, original=live.original)
            is_damaged = live.original.is_damaged
            content = replace(content, original=replace(content.original, is_damaged=is_damaged))
            name = current.document.get("attachment_name")
            outcome = received.outcome | ({"attachment_name": name} if name else {})
            now_ms = unix_time_ms()
            changed = replace(
                current,
                document=with_content_keys(current.document, content, outcome),
                revision=next_revision(current.revision),
                modified_ms=now_ms,
                content=content,
            )
            try:
                await self._store.commit_content(changed, current.revision, now_ms)
            except StaleRevisionError:
                continue
            self._measuring.soon(changed)
            return changed

    async def _head_of(self, media: Media, original: Rendition) -> Head:
        try:
            reader = await self._renditions.open(media, original)
        except ContentDamagedError as error:
            text = f"the original of {media.id!r} is missing or damaged: see `kazoo-media fsck`"
            raise NormalizationFailedError(text) from error
        async with reader:
            return await head_of(reader)
