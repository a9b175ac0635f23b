"""Only bytes that are exactly what was committed are read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import pytest

from kazoo_media.content.damage import Damage
from kazoo_media.content.renditions import MOST_CHECKED_BYTES, Renditions
from kazoo_media.errors import ContentDamagedError, StaleRevisionError, StorageFullError
from kazoo_media.model import Content, Media, Rendition, RenditionKind
from tests.contract.blob_store import MIB, noise, stored
from tests.contract.media_samples import ACCOUNT, make_media, saved_with
from tests.support.memory_blobs import MemoryBlobStore
from tests.support.memory_metadata import MemoryMetadataStore

_SMALL = noise(MIB)
_LARGE = noise(MIB + 1)


class _FullStore(MemoryMetadataStore):
    async def put_damage(self, media: Media, expected_revision: str) -> None:
        raise StorageFullError


@dataclass
class _Stored:
    """A media whose original is in the stores."""

    metadata: MemoryMetadataStore
    blobs: MemoryBlobStore
    media: Media

    @classmethod
    async def of(cls, audio: bytes, metadata: MemoryMetadataStore | None = None) -> _Stored:
        metadata, blobs = metadata or MemoryMetadataStore(), MemoryBlobStore()
        media = make_media(name="n")
        await metadata.insert_media(media)
        key = await stored(blobs, audio)
        await metadata.begin_upload(ACCOUNT, [key], 1)
        digest = hashlib.sha256(audio).hexdigest()
        original = Rendition(RenditionKind.ORIGINAL, key, "audio/mpeg", len(audio), digest)
        saved = saved_with(media, Content(original))
        await metadata.commit_content(saved, media.revision, 2)
        return cls(metadata, blobs, saved)

    @property
    def original(self) -> Rendition:
        assert self.media.content is not None
        return self.media.content.original

    async def put(self, audio: bytes) -> None:
        """Replace the bytes in the blob store."""
        await self.blobs.delete(self.original.blob_key)
        writer = await self.blobs.create(self.original.blob_key)
        await writer.write([audio])
        await self.blobs.publish([writer])

    async def read(self, offset: int = 0, length: int | None = None) -> list[bytes]:
        """Return the chunks of a read of the media as it is now."""
        self.media = await self.metadata.get_media(ACCOUNT, "m") or self.media
        renditions = Renditions(self.metadata, self.blobs, Damage(self.metadata))
        async with await renditions.open(self.media, self.original) as reader:
            wanted = reader.size_bytes - offset if length is None else length
            return [each async for each in reader.read(offset, wanted)]

    async def document_says(self) -> bool:
        media = await self.metadata.get_media(ACCOUNT, "m")
        assert media is not None
        assert media.content is not None
        rows = await self.metadata.list_blobs("", 9)
        assert [each.is_damaged for each in rows] == [media.content.is_damaged]
        shown = media.document.get("damaged", False)
        assert shown == media.document.get("renditions", {}).get("original", {}).get(
            "damaged", False
        )
        assert shown == media.content.is_damaged
        return bool(shown)


@pytest.mark.parametrize("audio", [_SMALL, _LARGE, b"audio."])
async def test_a_rendition_is_read_as_it_was_committed(audio: bytes) -> None:
    kept = await _Stored.of(audio)
    assert b"".join(await kept.read()) == audio
    assert max(map(len, await kept.read())) <= 256 * 1024
    for offset, length in ((0, 1), (3, 2), (len(audio) - 1, 1), (len(audio) // 3, len(audio) // 2)):
        assert b"".join(await kept.read(offset, length)) == audio[offset : offset + length]


@pytest.mark.parametrize(
    ("audio", "other"),
    [
        (_SMALL, _SMALL[:-1]),
        (_SMALL, _SMALL + b"x"),
        (_SMALL, b"x" + _SMALL[1:]),
        (_LARGE, _LARGE[:-1]),
        (_SMALL, None),
    ],
    ids=["cut", "longer", "changed", "large and cut", "missing"],
)
async def test_damage_is_refused_shown_and_gone_when_restored(
    audio: bytes, other: bytes | None
) -> None:
    kept = await _Stored.of(audio)
    if other is None:
        await kept.blobs.delete(kept.original.blob_key)
    else:
        await kept.put(other)
    for _ in range(2):
        with pytest.raises(ContentDamagedError, match="original audio of media 'm' is damaged"):
            await kept.read()
        assert await kept.document_says()
    with pytest.raises(ContentDamagedError):
        await kept.read(2, 1)
    if len(audio) <= MOST_CHECKED_BYTES:
        await kept.put(audio)
        assert b"".join(await kept.read()) == audio
        assert not await kept.document_says()


async def test_a_large_blob_that_is_known_to_be_damaged_is_refused() -> None:
    kept = await _Stored.of(_LARGE)
    key = kept.original.blob_key
    damage = Damage(kept.metadata)
    assert await damage.note_blob(ACCOUNT, key, is_damaged=True) == "m"
    with pytest.raises(ContentDamagedError):
        await kept.read()
    await damage.note_blob(ACCOUNT, key, is_damaged=False)
    assert b"".join(await kept.read()) == _LARGE
    assert not await kept.document_says()


async def test_damage_is_refused_when_it_cannot_be_stored() -> None:
    kept = await _Stored.of(b"audio.", _FullStore())
    await kept.put(b"Audio.")
    with pytest.raises(ContentDamagedError):
        await kept.read()
    assert not await kept.document_says()


async def test_a_change_of_the_document_meanwhile_and_the_finding_are_both_kept() -> None:
    kept = await _Stored.of(b"audio.")
    before = kept.media
    changed = saved_with(before, before.content, name="new")
    await kept.metadata.replace_document(changed, before.revision)
    await Damage(kept.metadata).note(before, kept.original.blob_key, is_damaged=True)
    assert await kept.document_says()
    media = await kept.metadata.get_media(ACCOUNT, "m")
    assert media is not None
    assert media.document["name"] == "new"
    # A change that began before the finding is made again.
    with pytest.raises(StaleRevisionError):
        await kept.metadata.replace_document(replace(changed), changed.revision)
