"""What stored audio sounds like: measured in passing, in the background, or when it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from kazoo_media.access.accounts import AdminScope, WriteScope
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.blobs.store import BlobReader
from kazoo_media.content.intake import Declared
from kazoo_media.errors import StorageFullError
from kazoo_media.model import Media
from tests.support.audio_samples import encoded, noise, tone, wav_bytes, with_data_size
from tests.support.core_fixtures import CoreUnderTest, make_core, replace_content, source_of
from tests.support.processes import zygotes

_SCOPE = WriteScope("a" * 32)
_KEYS = {"loudness_lufs", "peak_dbfs", "clipped_samples"}


@pytest.fixture(scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConverterPool]:
    """Give a pool for all tests: starting one takes half a second."""
    pool = ConverterPool(tmp_path_factory.mktemp("pool"))
    yield pool
    await pool.aclose()


@pytest.fixture
async def tested(pool: ConverterPool) -> CoreUnderTest:
    return await make_core(pool=pool)


@pytest.fixture
async def background(tested: CoreUnderTest) -> AsyncIterator[asyncio.Task[None]]:
    """Measure in the background as a worker does."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(tested.core.measuring.run(_leave))
        yield running
        running.cancel()


async def _uploaded(
    tested: CoreUnderTest, audio: bytes, preset: str = "", content_type: str | None = None
) -> Media:
    media = await tested.core.library.create(_SCOPE, {"name": "n"}, "")
    declared = Declared(content_type, size_bytes=len(audio), preset=preset)
    return await replace_content(tested.core, _SCOPE, media.id, declared, source_of(audio))


async def _leave(_: Media) -> None:
    """Mend nothing."""


async def _use_sox(tested: CoreUnderTest) -> None:
    await tested.core.settings.put(AdminScope(), "media", "normalize_backend", "sox", node=None)


async def _read(tested: CoreUnderTest, media: Media) -> dict[str, Any]:
    """Return the renditions as a client reads them."""
    found = await tested.core.library.get(_SCOPE, media.id)
    return dict((await tested.core.measuring.measured(found)).document["renditions"])


async def _until(condition: Callable[[], Awaitable[Any]]) -> None:
    while not await condition():  # noqa: ASYNC110 - other processes tell nothing
        await asyncio.sleep(0.01)


async def _stored(tested: CoreUnderTest, media: Media) -> dict[str, Any]:
    """Return the renditions as they are stored, with nothing measured for it."""
    found = await tested.core.library.get(_SCOPE, media.id)
    return dict(found.document["renditions"])


async def _is_described(tested: CoreUnderTest, media: Media) -> bool:
    return all(each.keys() >= _KEYS for each in (await _stored(tested, media)).values())


def _loud() -> bytes:
    """Return a full-scale sine of 500 Hz: -3.01 LUFS, and the K curve lies 0.7 dB lower there."""
    phase = 2 * np.pi * 500 * np.arange(32_000) / 16_000
    return wav_bytes(np.sin(phase), 16_000, 1, 16)


async def test_what_the_converter_measured_in_passing_is_in_the_answer(
    tested: CoreUnderTest,
) -> None:
    document = (await _uploaded(tested, _loud(), "guard")).document
    before, after = document["renditions"]["original"], document["renditions"]["normalized"]
    assert before["peak_dbfs"] == pytest.approx(0.0, abs=0.1)
    assert before["loudness_lufs"] == pytest.approx(-3.7, abs=0.3)
    assert before["clipped_samples"] > 0
    assert after["peak_dbfs"] < -0.3
    assert after["loudness_lufs"] < before["loudness_lufs"]
    assert after["clipped_samples"] == 0
    assert {key: document[key] for key in after} == after


async def test_what_was_measured_in_passing_is_not_measured_again(
    tested: CoreUnderTest, background: asyncio.Task[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = _opened(tested, monkeypatch)
    media = await _uploaded(tested, _loud(), "guard")
    await _read(tested, media)
    other = await _uploaded(tested, _loud())
    await _until(lambda: _is_described(tested, other))
    assert not background.done()
    assert other.content is not None
    assert opened == [other.content.original.blob_key]


@pytest.mark.parametrize("preset", ["", "kazoo", "telephony"])
@pytest.mark.usefixtures("background")
async def test_a_commit_is_followed_by_measuring(tested: CoreUnderTest, preset: str) -> None:
    await _use_sox(tested)
    media = await _uploaded(tested, _loud(), preset)
    assert not _KEYS & media.document.keys()

    await _until(lambda: _is_described(tested, media))

    found = await tested.core.library.get(_SCOPE, media.id)
    assert (found.revision, found.modified_ms) == (media.revision, media.modified_ms)
    renditions = found.document["renditions"]
    assert renditions["original"]["loudness_lufs"] == pytest.approx(-3.7, abs=0.3)
    served = renditions["normalized" if preset else "original"]
    assert {key: found.document[key] for key in served} == served
    assert found.content is not None
    for each in found.content.renditions:
        assert await tested.metadata.get_peaks(found.account_id, each.blob_key)


async def test_what_was_not_measured_yet_is_when_the_document_is_read(
    tested: CoreUnderTest,
) -> None:
    await _use_sox(tested)
    media = await _uploaded(tested, _loud(), "telephony")
    assert not await _is_described(tested, media)

    renditions = await _read(tested, media)

    assert renditions["original"]["peak_dbfs"] == pytest.approx(0.0, abs=0.1)
    assert renditions["normalized"]["loudness_lufs"] == pytest.approx(-4.2, abs=0.5)
    assert await _stored(tested, media) == renditions


async def test_a_program_s_output_is_described_as_that_of_the_pool(tested: CoreUnderTest) -> None:
    audio = tone(2.0, rate=16_000, level_db=-20)
    in_process = await _read(tested, await _uploaded(tested, audio, "telephony"))
    await _use_sox(tested)
    by_sox = await _read(tested, await _uploaded(tested, audio, "telephony"))
    assert by_sox["original"] == in_process["original"]
    loudness = in_process["normalized"]["loudness_lufs"]
    assert by_sox["normalized"]["loudness_lufs"] == pytest.approx(loudness, abs=0.15)
    peak = in_process["normalized"]["peak_dbfs"]
    assert by_sox["normalized"]["peak_dbfs"] == pytest.approx(peak, abs=1.7)


@pytest.mark.parametrize("coded", ["mp3", "ogg", "flac", "au", "amr-nb"])
async def test_every_format_is_measured(tested: CoreUnderTest, coded: str) -> None:
    audio = encoded(tone(2.0, level_db=-20), coded)
    renditions = await _read(tested, await _uploaded(tested, audio))
    assert renditions["original"]["loudness_lufs"] == pytest.approx(-21, abs=1.5)


async def test_a_wav_whose_header_hides_audio_is_measured_whole(tested: CoreUnderTest) -> None:
    quiet, loud = (tone(3.0, level_db=level) for level in (-40, -10))
    joined = quiet + loud[44:]
    riff_bytes = (len(joined) - 8).to_bytes(4, "little")
    audio = with_data_size(joined[:4] + riff_bytes + joined[8:], len(quiet) - 44)
    renditions = await _read(tested, await _uploaded(tested, audio))
    assert renditions["original"]["peak_dbfs"] == pytest.approx(-7, abs=0.2)


async def test_a_stream_that_one_decoder_leaves_early_is_measured_whole(
    tested: CoreUnderTest,
) -> None:
    # libsndfile ends at the second stream.
    quiet, loud = (encoded(tone(2.0, level_db=level), "ogg") for level in (-40, -10))
    renditions = await _read(tested, await _uploaded(tested, quiet + loud, "telephony"))
    assert renditions["original"]["duration_ms"] == 4000
    for each in renditions.values():
        assert each["peak_dbfs"] == pytest.approx(-7, abs=1)


async def test_what_can_not_be_decoded_has_no_figures_and_is_tried_once(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage = b"\xff\xf3" + bytes(range(256)) * 8
    media = await _uploaded(tested, garbage, content_type="audio/mpeg")
    opened = _opened(tested, monkeypatch)
    for _ in range(3):
        assert not _KEYS & (await _read(tested, media))["original"].keys()
    assert len(opened) == 1


async def test_without_the_packages_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    tested = await make_core()
    media = await _uploaded(tested, _loud(), "telephony")
    opened = _opened(tested, monkeypatch)
    assert not _KEYS & (await _read(tested, media))["normalized"].keys()
    assert opened == []


async def test_a_document_whose_audio_is_lost_can_be_read(tested: CoreUnderTest) -> None:
    media = await _uploaded(tested, _loud())
    assert media.content is not None
    await tested.blobs.delete(media.content.original.blob_key)
    assert not _KEYS & (await _read(tested, media))["original"].keys()


async def test_callers_at_once_have_it_measured_once(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = await _uploaded(tested, _loud())
    opened = _opened(tested, monkeypatch)
    found = await asyncio.gather(*(_read(tested, media) for _ in range(20)))
    assert all(each == found[0] for each in found)
    assert len(opened) == 1


async def test_a_document_that_is_changed_meanwhile_keeps_both(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = await _uploaded(tested, _loud())
    open_blob = tested.blobs.open

    async def changing(key: str) -> BlobReader | None:
        await tested.core.library.patch(_SCOPE, media.id, {"name": "changed"})
        return await open_blob(key)

    monkeypatch.setattr(tested.blobs, "open", changing)
    renditions = await _read(tested, media)
    found = await tested.core.library.get(_SCOPE, media.id)
    assert found.document["name"] == "changed"
    assert found.document["renditions"] == renditions
    assert renditions["original"].keys() >= _KEYS


async def test_figures_that_a_change_of_the_document_left_out_come_back(
    tested: CoreUnderTest,
) -> None:
    media = await _uploaded(tested, _loud())
    renditions = await _read(tested, media)
    # It was read before the audio was measured, and stored afterwards.
    late = replace(media, revision="3-" + "0" * 32)
    await tested.metadata.replace_document(late, media.revision)
    assert not await _is_described(tested, media)
    assert await _read(tested, media) == renditions


async def test_new_content_is_not_described_by_the_figures_of_the_old(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = await _uploaded(tested, _loud())
    open_blob = tested.blobs.open
    quiet = tone(1.0, level_db=-40)

    async def source() -> AsyncIterator[bytes]:
        yield quiet

    async def replacing(key: str) -> BlobReader | None:
        reader = await open_blob(key)
        monkeypatch.undo()
        await replace_content(tested.core, _SCOPE, media.id, Declared(), source())
        return reader

    monkeypatch.setattr(tested.blobs, "open", replacing)
    await _read(tested, media)
    renditions = await _read(tested, media)
    assert renditions["original"]["peak_dbfs"] == pytest.approx(-37, abs=0.2)


@dataclass(frozen=True)
class _Alone:
    """A core whose pool no other test uses."""

    tested: CoreUnderTest
    others: list[psutil.Process]

    def converters(self) -> list[psutil.Process]:
        """Return the converters of its pool."""
        own = [each for each in zygotes() if each not in self.others]
        return [child for zygote in own for child in zygote.children()]

    async def is_busy(self) -> bool:
        return bool(self.converters())

    async def is_idle(self) -> bool:
        return not self.converters()


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[_Alone]:
    others = zygotes()
    pool = ConverterPool(tmp_path)
    yield _Alone(await make_core(pool=pool), others)
    await pool.aclose()


async def test_a_converter_that_is_killed_in_the_background_costs_no_figures(alone: _Alone) -> None:
    async with asyncio.TaskGroup() as tasks:
        background = tasks.create_task(alone.tested.core.measuring.run(_leave))
        media = await _uploaded(alone.tested, noise(60.0, rate=48_000))
        await _until(alone.is_busy)
        for each in alone.converters():
            each.kill()
        renditions = await _read(alone.tested, media)
        assert renditions["original"].keys() >= _KEYS
        other = await _uploaded(alone.tested, _loud())
        await _until(lambda: _is_described(alone.tested, other))
        assert not background.done()
        background.cancel()


async def test_stopping_leaves_no_converter_at_work(alone: _Alone) -> None:
    measuring = asyncio.ensure_future(alone.tested.core.measuring.run(_leave))
    await _uploaded(alone.tested, noise(60.0, rate=48_000))
    await _until(alone.is_busy)
    measuring.cancel()
    with suppress(asyncio.CancelledError):
        await measuring
    await _until(alone.is_idle)


async def test_more_than_fit_are_measured_when_they_are_read(
    pool: ConverterPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kazoo_media.media.measuring._MOST_WAITING", 1)
    tested = await make_core(pool=pool)
    media = [await _uploaded(tested, _loud()) for _ in range(3)]
    for each in media:
        assert (await _read(tested, each))["original"].keys() >= _KEYS


async def test_audio_that_is_normalized_later_keeps_what_was_measured(
    tested: CoreUnderTest,
) -> None:
    await _use_sox(tested)
    media = await _uploaded(tested, _loud())
    before = (await _read(tested, media))["original"]
    again = tested.core.renormalization
    media = (await again.normalize(_SCOPE, media.id, preset="telephony")).media
    assert media.document["renditions"]["original"] == before
    assert (await _read(tested, media))["normalized"].keys() >= _KEYS
    assert (await _stored(tested, media))["original"] == before


def _opened(tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the keys of the blobs that are opened from now on."""
    opened: list[str] = []
    open_blob = tested.blobs.open

    async def counting(key: str) -> BlobReader | None:
        opened.append(key)
        return await open_blob(key)

    monkeypatch.setattr(tested.blobs, "open", counting)
    return opened


async def test_what_a_full_disk_cannot_store_is_answered_all_the_same(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = await _uploaded(tested, tone(1.0))

    async def refuse(*_: object) -> None:
        raise StorageFullError

    downloads, waveforms = tested.core.downloads, tested.core.waveforms
    with monkeypatch.context() as patch:
        patch.setattr(tested.metadata, "put_measured", refuse)
        found = await tested.core.library.get(_SCOPE, media.id)
        assert (await tested.core.measuring.measured(found)).document["name"] == "n"
        waveform = await waveforms.waveform(found, downloads.select(found, None), 5)
        assert waveform.length == 5
        assert "clipped_samples" not in (await _stored(tested, media))["original"]
    assert await waveforms.waveform(found, downloads.select(found, None), 5) == waveform
    assert "clipped_samples" in (await _stored(tested, media))["original"]
