"""Stored audio converted anew, on real stores: what is live stays so until the new one is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import override

from kazoo_media.access.accounts import AdminScope, WriteScope
from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.store import BlobReader
from kazoo_media.errors import (
    ContentDamagedError,
    ContentNotFoundError,
    MediaNotFoundError,
    NormalizationFailedError,
    NormalizationOffError,
    ValidationError,
)
from kazoo_media.media.downloads import ByteRange
from kazoo_media.media.uploads import Declared
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.model import SYSTEM_ACCOUNT_ID, BlobState, Media, RenditionKind
from kazoo_media.upkeep.fsck import check
from tests.support.audio_samples import encoded, measure, tone
from tests.support.core_fixtures import CoreUnderTest, make_core, replace_content

_SCOPE = WriteScope("a" * 32)
_AUDIO = tone(2.0, rate=44_100, channels=2)
_MONO = tone(2.0, rate=44_100)
_OTHER = tone(1.0, frequency_hertz=880)


class _ObservedBlobs(LocalBlobStore):
    """The real store; `on_open` runs whenever somebody begins to read."""

    on_open: Callable[[], Awaitable[object]] | None = None

    @override
    async def open(self, key: str, *, in_background: bool = False) -> BlobReader | None:
        reader = await super().open(key, in_background=in_background)
        observer, self.on_open = self.on_open, None
        if observer is not None:
            await observer()
        return reader


@dataclass
class _Again:
    """A core on real stores, with one media `m` whose audio is that of the kazoo preset.

    Attributes:
        before: The media, and what is served of it.
    """

    tested: CoreUnderTest
    blobs: _ObservedBlobs
    before: tuple[Media, bytes] | None = None

    async def set(self, key: str, value: object) -> None:
        of_crossbar = key in ("normalize_media", "normalization_format")
        category = "crossbar.media" if of_crossbar else "media"
        await self.tested.core.settings.put(AdminScope(), category, key, value, node=None)

    async def upload(self, audio: bytes = _AUDIO) -> Media:
        async def source() -> AsyncIterator[bytes]:
            yield audio

        declared = Declared(attachment_name="tone.wav")
        return await replace_content(self.tested.core, _SCOPE, "m", declared, source())

    async def normalize(self, **wanted: object) -> tuple[Media, bool]:
        again = self.tested.core.renormalization
        made = await again.normalize(_SCOPE, "m", **wanted)  # type: ignore[arg-type]
        return made.media, made.converted

    async def media(self) -> Media:
        return await self.tested.core.library.get(_SCOPE, "m")

    async def audio(self, kind: RenditionKind | None = None) -> bytes:
        rendition = self.tested.core.downloads.select(await self.media(), kind)
        span = ByteRange(0, rendition.size_bytes)
        async with await self.tested.core.downloads.open(
            await self.media(), rendition, span
        ) as download:
            return b"".join([chunk async for chunk in download.chunks()])

    async def expect_untouched(self) -> None:
        """Check that document and audio are those of before, and nothing else is there."""
        assert (await self.media(), await self.audio()) == self.before
        await self.expect_clean()

    async def expect_clean(self) -> None:
        """Check that all that is live is whole, and nothing pending."""
        metadata, blobs = self.tested.metadata, self.tested.blobs
        report = await check(metadata, blobs, read_digests=True, progress=lambda _: None)
        assert report.findings == ()
        rows = await metadata.list_blobs("", 10_000)
        assert BlobState.PENDING not in {row.state for row in rows}


@pytest.fixture
async def again(tmp_path: Path) -> AsyncIterator[_Again]:
    metadata = await SqliteMetadataStore.open(tmp_path / "metadata.sqlite", shared=False)
    blobs = _ObservedBlobs(tmp_path / "blobs")
    tested = await make_core(metadata, blobs, frozenset({"sox", "missing"}))
    again = _Again(tested, blobs)
    await again.set("normalize_media", value=True)
    await tested.core.library.create(_SCOPE, {"name": "n"}, "m")
    media = await again.upload()
    again.before = media, await again.audio()
    yield again
    await blobs.aclose()
    await metadata.aclose()


def _kilobits_per_s(mp3: bytes) -> float:
    return len(mp3) * 8 / measure(mp3, "mp3").duration_s / 1000


async def test_a_new_preset_makes_an_8_kbit_mp3_one_of_32_kbit_and_the_same_duration(
    again: _Again,
) -> None:
    await again.upload(_MONO)
    old = await again.audio()
    await again.set("normalize_preset", "telephony")

    media, converted = await again.normalize()

    new = await again.audio()
    assert converted
    assert await again.media() == media
    assert _kilobits_per_s(old) == pytest.approx(8, rel=0.1)
    assert _kilobits_per_s(new) == pytest.approx(32, rel=0.1)
    heard = measure(new, "mp3")
    assert heard.duration_s == pytest.approx(measure(old, "mp3").duration_s, abs=0.1)
    assert heard.frequency_hertz == pytest.approx(440, abs=2)
    assert await again.audio(RenditionKind.ORIGINAL) == _MONO
    assert media.document["content_length"] == len(new)
    assert media.document["normalization_preset"] == "telephony"
    await again.expect_clean()


async def test_the_document_keeps_all_that_is_not_of_the_rendition(again: _Again) -> None:
    assert again.before
    before = again.before[0]
    await again.set("normalization_format", "wav")

    media, _ = await again.normalize(preset="telephony")

    rendition_keys = {"content_type", "content_length", "channel_count", "duration_ms"}
    rendition_keys |= {"normalization_preset", "codec", "renditions"}
    kept = {key: value for key, value in before.document.items() if key not in rendition_keys}
    assert kept["attachment_name"] == "tone.wav"
    assert {key: media.document.get(key) for key in kept} == kept
    assert media.document["content_type"] == "audio/x-wav"
    assert media.document["channel_count"] == 1
    assert (media.revision.partition("-")[0], before.revision.partition("-")[0]) == ("3", "2")
    assert media.modified_ms >= before.modified_ms


async def test_what_was_made_the_very_same_way_is_left_alone(again: _Again) -> None:
    assert again.before
    assert await again.normalize() == (again.before[0], False)
    assert await again.normalize(preset="kazoo") == (again.before[0], False)
    await again.set("normalize_destination_args", "-r 8000 -c 1")
    made, converted = await again.normalize()
    assert converted
    assert measure(await again.audio(), "mp3").channel_count == 1
    assert await again.normalize() == (made, False)


async def test_force_converts_what_was_made_the_very_same_way(again: _Again) -> None:
    assert again.before
    media, converted = await again.normalize(force=True)
    assert converted
    assert media.revision != again.before[0].revision
    assert await again.audio() == again.before[1]


async def test_audio_that_was_never_normalized_is(again: _Again) -> None:
    await again.set("normalize_media", value=False)
    assert (await again.upload()).content.normalized is None  # type: ignore[union-attr]
    await again.set("normalize_media", value=True)
    media, converted = await again.normalize()
    assert converted
    assert media.document["content_type"] == "audio/mpeg"
    await again.expect_clean()


async def test_the_error_of_an_upload_disappears_when_its_audio_is_normalized(
    again: _Again,
) -> None:
    await again.set("normalize_executable", "missing")
    assert "normalization_error" in (await again.upload()).document
    await again.set("normalize_executable", "sox")
    media, _ = await again.normalize()
    assert "normalization_error" not in media.document
    assert measure(await again.audio(), "mp3").duration_s == pytest.approx(2, abs=0.2)


async def test_with_normalization_off_only_a_named_preset_converts(again: _Again) -> None:
    await again.set("normalize_media", value=False)
    with pytest.raises(NormalizationOffError, match=r"crossbar\.media\.normalize_media.*preset"):
        await again.normalize()
    await again.expect_untouched()
    media, converted = await again.normalize(preset="wideband")
    assert converted
    assert media.document["sample_rate_hertz"] == 16_000


async def test_an_unknown_preset_is_refused_with_those_there_are(again: _Again) -> None:
    with pytest.raises(ValidationError, match=r"preset: .*kazoo, telephony"):
        await again.normalize(preset="loud")
    await again.expect_untouched()


async def test_a_failed_conversion_says_why_and_changes_nothing(again: _Again) -> None:
    await again.set("normalize_executable", "missing")
    with pytest.raises(NormalizationFailedError, match=r"conversion utility: missing cannot"):
        await again.normalize()
    await again.expect_untouched()


async def test_audio_that_can_not_be_converted_any_more_changes_nothing(again: _Again) -> None:
    await again.set("normalize_media", value=False)
    broken = encoded(tone(2.0), "flac")[:4000]
    media = await again.upload(broken)
    with pytest.raises(NormalizationFailedError, match="conversion utility: "):
        await again.normalize(preset="telephony")
    assert await again.media() == media
    assert await again.audio() == broken
    await again.expect_clean()


async def test_there_is_nothing_to_convert_without_media_or_audio(again: _Again) -> None:
    library = again.tested.core.library
    await library.delete(_SCOPE, "m", hard=True)
    with pytest.raises(MediaNotFoundError):
        await again.normalize()
    await library.create(_SCOPE, {"name": "n"}, "m")
    with pytest.raises(ContentNotFoundError, match="'m' has no audio yet"):
        await again.normalize()


async def test_a_lost_original_is_named(again: _Again) -> None:
    assert again.before
    content = again.before[0].content
    assert content is not None
    await again.blobs.delete(content.original.blob_key)
    with pytest.raises(NormalizationFailedError, match="original of 'm' is missing or damaged"):
        await again.normalize(preset="telephony")
    media = await again.media()
    assert media.document["renditions"]["original"]["damaged"]
    assert (media.content.normalized if media.content else None) == content.normalized
    assert await again.audio() == again.before[1]


async def test_a_damaged_rendition_is_made_again_from_its_original(again: _Again) -> None:
    assert again.before
    media, audio = again.before
    assert media.content is not None
    assert media.content.normalized is not None
    await again.blobs.delete(media.content.normalized.blob_key)
    with pytest.raises(ContentDamagedError, match="normalize it again from its original"):
        await again.audio()
    assert (await again.media()).document["damaged"]
    assert (await again.normalize())[1]
    assert await again.audio() == audio
    assert "damaged" not in (await again.media()).document


async def test_a_prompt_of_the_system_scope_is_a_media_like_any_other(again: _Again) -> None:
    core, scope = again.tested.core, WriteScope(SYSTEM_ACCOUNT_ID)
    document = {"name": "n", "prompt_id": "vm-hello", "language": "en-us"}
    prompt = await core.library.create(scope, document)

    async def source() -> AsyncIterator[bytes]:
        yield _AUDIO

    await replace_content(core, scope, prompt.id, Declared(), source())
    made = await core.renormalization.normalize(scope, "en-us/vm-hello", preset="telephony")
    assert made.converted
    assert made.media.document["normalization_preset"] == "telephony"


async def test_audio_uploaded_meanwhile_wins(again: _Again) -> None:
    async def upload() -> None:
        await again.upload(_OTHER)

    await again.set("normalize_preset", "telephony")
    again.blobs.on_open = upload
    media, converted = await again.normalize()
    assert not converted, "the upload was normalized this way already"
    assert await again.media() == media
    assert measure(await again.audio(), "mp3").frequency_hertz == pytest.approx(880, abs=2)
    assert await again.audio(RenditionKind.ORIGINAL) == _OTHER
    await again.expect_clean()


async def test_audio_uploaded_meanwhile_is_converted_where_it_is_not_as_wanted(
    again: _Again,
) -> None:
    async def upload() -> None:
        await again.upload(_OTHER)

    again.blobs.on_open = upload
    media, converted = await again.normalize(preset="wideband")
    assert converted
    assert media.document["normalization_preset"] == "wideband"
    assert measure(await again.audio(), "mp3").frequency_hertz == pytest.approx(880, abs=2)
    await again.expect_clean()


async def test_a_document_changed_meanwhile_keeps_the_change(again: _Again) -> None:
    async def rename() -> None:
        await again.tested.core.library.patch(_SCOPE, "m", {"name": "renamed"})

    again.blobs.on_open = rename
    media, converted = await again.normalize(preset="telephony")
    assert converted
    assert media.document["name"] == "renamed"
    assert media.document["normalization_preset"] == "telephony"


async def test_a_media_deleted_meanwhile_stays_deleted(again: _Again) -> None:
    async def delete() -> None:
        await again.tested.core.library.delete(_SCOPE, "m", hard=True)

    again.blobs.on_open = delete
    with pytest.raises(MediaNotFoundError):
        await again.normalize(preset="telephony")
    await again.expect_clean()
    rows = await again.tested.metadata.list_blobs("", 100)
    assert {row.state for row in rows} == {BlobState.DEAD}


async def test_two_at_once_leave_one_rendition(again: _Again) -> None:
    async with asyncio.TaskGroup() as tasks:
        for preset in ("telephony", "wideband", "telephony", "guard"):
            tasks.create_task(again.normalize(preset=preset))
    media = await again.media()
    rate = 16_000 if media.document["normalization_preset"] == "wideband" else 8000
    assert measure(await again.audio(), "mp3").sample_rate_hertz == rate
    await again.expect_clean()


async def test_a_cancelled_one_happened_or_did_not(again: _Again) -> None:
    delay_s, discarded, happened = 0.0005, 0, 0
    while happened < 3:
        before = await again.media(), await again.audio()
        task = asyncio.ensure_future(again.normalize(force=True))
        await asyncio.sleep(delay_s)
        task.cancel()
        await asyncio.wait([task])
        after = await again.media(), await again.audio()
        assert after[1] == before[1]
        await again.expect_clean()
        discarded += after == before
        happened += after != before
        delay_s *= 1.2
    assert discarded > 3, "the cancellation never came in between"


async def test_conversions_of_what_is_stored_do_not_hold_up_uploads(
    again: _Again, tmp_path: Path
) -> None:
    hanging = tmp_path / "missing"
    hanging.write_text("#!/bin/sh\nexec sleep 600\n")
    hanging.chmod(0o700)
    await again.set("normalize_executable", str(hanging))
    running = [asyncio.ensure_future(again.normalize()) for _ in range(20)]
    while len(await again.tested.metadata.list_blobs("", 100)) < 22:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await again.set("normalize_executable", "sox")
    await again.set("max_streaming_conversions", 0)

    media = await again.upload(_OTHER)

    for each in running:
        each.cancel()
    await asyncio.wait(running)
    assert all(each.cancelled() for each in running)
    assert media.document["content_type"] == "audio/mpeg"
    await again.expect_clean()
