"""Waveforms: measured once, in as many stretches as are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_media.access.accounts import WriteScope
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.blobs.store import BlobReader
from kazoo_media.errors import NoPeaksError, ValidationError
from kazoo_media.media.uploads import Declared
from kazoo_media.media.waveforms import MOST_BUCKETS, Waveform, bucketed
from kazoo_media.model import AudioFacts, Media, Rendition, RenditionKind
from tests.support.audio_samples import encoded, wav_bytes
from tests.support.core_fixtures import CoreUnderTest, make_core, replace_content

_SCOPE = WriteScope("a" * 32)
_RATE = 8000


def _stepped(levels: Sequence[float], seconds: float = 0.5, rate: int = _RATE) -> bytes:
    """Return a mono WAV with stretches of a 500 Hz sine of these amplitudes."""
    phase = 2 * np.pi * 500 * np.arange(round(seconds * rate)) / rate
    return wav_bytes(np.concatenate([level * np.sin(phase) for level in levels]), rate, 1, 16)


@pytest.fixture(scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConverterPool]:
    """Give a pool for all tests: starting one takes half a second."""
    pool = ConverterPool(tmp_path_factory.mktemp("pool"))
    yield pool
    await pool.aclose()


@pytest.fixture
async def tested(pool: ConverterPool) -> CoreUnderTest:
    return await make_core(pool=pool)


async def _uploaded(tested: CoreUnderTest, audio: bytes, preset: str = "") -> Media:
    async def source() -> AsyncIterator[bytes]:
        yield audio

    media = await tested.core.library.create(_SCOPE, {"name": "n"}, "")
    declared = Declared(size_bytes=len(audio), preset=preset)
    return await replace_content(tested.core, _SCOPE, media.id, declared, source())


async def _waveform(tested: CoreUnderTest, media: Media, buckets: int) -> Waveform:
    assert media.content is not None
    return await tested.core.waveforms.waveform(media, media.content.served, buckets)


def _heights(waveform: Waveform) -> list[int]:
    return list(waveform.data[1::2])


@pytest.mark.parametrize("preset", ["", "telephony"])
@pytest.mark.parametrize("rate", [8000, 44_100])
async def test_it_has_the_shape_of_the_audio(tested: CoreUnderTest, preset: str, rate: int) -> None:
    media = await _uploaded(tested, _stepped([0.8, 0.1, 0.4, 0.0], rate=rate), preset)
    waveform = await _waveform(tested, media, 400)
    assert waveform.sample_rate_hertz == (_RATE if preset else rate)
    spanned_s = waveform.length * waveform.samples_per_bucket / waveform.sample_rate_hertz
    # An mp3 of 8 kHz is a sixth of a second longer than what was encoded.
    assert spanned_s == pytest.approx(2.0, abs=0.2)
    heights = _heights(waveform)
    quarter = len(heights) // 4
    for step, level in enumerate((0.8, 0.1, 0.4, 0.0)):
        middle = heights[step * quarter + quarter // 4 : (step + 1) * quarter - quarter // 4]
        assert max(middle) == pytest.approx(127 * level, abs=5)


@pytest.mark.parametrize("coded", ["mp3", "ogg", "flac"])
async def test_compressed_audio_has_one_too(tested: CoreUnderTest, coded: str) -> None:
    audio = encoded(_stepped([0.5, 0.5]), coded)
    media = await _uploaded(tested, audio)
    assert max(_heights(await _waveform(tested, media, 20))) == pytest.approx(64, abs=8)


async def test_it_is_measured_while_converting_or_once_when_asked_for(
    tested: CoreUnderTest,
) -> None:
    audio = _stepped([0.5])
    converted = await _uploaded(tested, audio, "telephony")
    stored = await _uploaded(tested, audio)
    assert converted.content is not None
    assert stored.content is not None
    for rendition in converted.content.renditions:
        assert await tested.metadata.get_peaks(converted.account_id, rendition.blob_key)
    key = stored.content.original.blob_key
    assert await tested.metadata.get_peaks(stored.account_id, key) is None
    first = await _waveform(tested, stored, 10)
    assert await tested.metadata.get_peaks(stored.account_id, key)
    await tested.blobs.delete(key)  # from now on only what was kept can answer
    assert await _waveform(tested, stored, 10) == first


async def test_many_who_ask_at_once_have_it_measured_once(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = await _uploaded(tested, _stepped([0.5]))
    opened = []
    open_blob = tested.blobs.open

    async def counting(key: str) -> BlobReader | None:
        opened.append(key)
        return await open_blob(key)

    monkeypatch.setattr(tested.blobs, "open", counting)
    found = await asyncio.gather(*(_waveform(tested, media, 10) for _ in range(20)))
    assert all(each == found[0] for each in found)
    assert len(opened) == 1


async def test_it_spans_all_that_any_decoder_reads(tested: CoreUnderTest) -> None:
    chained = encoded(_stepped([0.2], seconds=2), "ogg") + encoded(
        _stepped([0.8], seconds=2), "ogg"
    )
    heights = _heights(await _waveform(tested, await _uploaded(tested, chained), 40))
    assert max(heights[2:18]) == pytest.approx(25, abs=6)
    assert max(heights[22:38]) == pytest.approx(102, abs=8)


async def test_what_only_a_program_decodes_has_one_too(tested: CoreUnderTest) -> None:
    media = await _uploaded(tested, encoded(_stepped([0.5, 0.5]), "amr-nb"))
    assert max(_heights(await _waveform(tested, media, 20))) == pytest.approx(64, abs=12)


async def test_what_can_not_be_decoded_has_none(tested: CoreUnderTest) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b"\xff\xf3" + bytes(range(256)) * 8

    media = await tested.core.library.create(_SCOPE, {"name": "n"}, "")
    declared = Declared("audio/mpeg")
    media = await replace_content(tested.core, _SCOPE, media.id, declared, source())
    with pytest.raises(NoPeaksError, match="the waveform of this audio cannot be measured: "):
        await _waveform(tested, media, 10)


async def test_without_the_converter_the_error_says_what_to_install() -> None:
    tested = await make_core()
    media = await _uploaded(tested, _stepped([0.5]))
    with pytest.raises(NoPeaksError, match=r"pip install 'kazoo-media\[audio\]'"):
        await _waveform(tested, media, 10)


@pytest.mark.parametrize("buckets", [0, -1, MOST_BUCKETS + 1])
async def test_only_so_many_stretches_are_there(tested: CoreUnderTest, buckets: int) -> None:
    media = await _uploaded(tested, _stepped([0.5]))
    with pytest.raises(ValidationError, match="buckets: Value must be at"):
        await _waveform(tested, media, buckets)


@given(
    pairs=st.lists(st.tuples(st.integers(-127, 0), st.integers(0, 127)), min_size=1, max_size=200),
    milliseconds=st.integers(0, 100_000),
    rate=st.sampled_from([8000, 44_100]),
    most=st.integers(1, MOST_BUCKETS),
)
def test_any_number_of_stretches_covers_everything(
    pairs: list[tuple[int, int]], milliseconds: int, rate: int, most: int
) -> None:
    peaks = np.array(pairs, np.int8).tobytes()
    facts = AudioFacts(milliseconds, rate, 1)
    rendition = Rendition(RenditionKind.ORIGINAL, "k", "audio/mpeg", 1, "0" * 64, facts)
    waveform = bucketed(peaks, rendition, most)
    samples = max(1, round(milliseconds * rate / 1000))
    assert waveform.length <= most
    covered = waveform.length * waveform.samples_per_bucket
    assert samples <= covered < samples + waveform.samples_per_bucket
    if waveform.length >= len(pairs):
        return  # several buckets share a stretch
    assert min(waveform.data[::2]) == min(low for low, _ in pairs)
    assert max(waveform.data[1::2]) == max(high for _, high in pairs)
