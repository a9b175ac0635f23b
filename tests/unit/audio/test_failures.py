"""No file that is broken becomes less audio, or noise, without a word: each of these was converted
to garbage with exit status 0, or to a part of it, by the bare command.

Every row runs with every back end.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from kazoo_media.audio.backends import Backend, Backends
from kazoo_media.audio.conversion import (
    KAZOO_FAILURE,
    Conversion,
    ConversionLimits,
    ConversionOutcome,
)
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inprocess.job import Job
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.presets import PRESETS
from kazoo_media.audio.sox import SoxCommand, SoxConversion
from tests.audio_samples import encoded, measure, noise, tone, with_data_size
from tests.unit.audio import damage
from tests.unit.audio.containers import in_container
from tests.unit.audio.sox_runs import feed_all, read_all, run

WAV, MP3, OGG, FLAC = AudioFormat.WAV, AudioFormat.MP3, AudioFormat.OGG, AudioFormat.FLAC
AU, AMR, GSM, PCMU = AudioFormat.AU, AudioFormat.AMR, AudioFormat.GSM, AudioFormat.PCMU

Start = Callable[[AudioFormat, Path], Conversion]


def _kazoo(source: AudioFormat, folder: Path) -> Conversion:
    command = SoxCommand("sox", source, MP3, (), ("-r", "8000"))
    return SoxConversion(command, ConversionLimits(), folder)


def _telephony(source: AudioFormat, folder: Path) -> Conversion:
    preset = PRESETS["telephony"]
    options = preset.options(MP3, "linear16")
    command = SoxCommand("sox", source, MP3, (), options, preset.effects())
    return SoxConversion(command, ConversionLimits(), folder)


_SOX = [pytest.param(_kazoo, id="kazoo"), pytest.param(_telephony, id="telephony")]
_BACKENDS = [*_SOX, pytest.param(None, id="in process")]


@pytest.fixture
async def start(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Start]:
    """Give what starts a conversion by sox, as the parameter says, or by a pool."""
    if request.param is not None:
        yield request.param
        return
    pool = ConverterPool(tmp_path)
    backends = Backends(tmp_path, pool, None)
    telephony = Job(WAV, MP3, "telephony", "linear16", ignore_length=False)
    yield lambda source, _: backends.make(replace(telephony, source=source), Backend.AUTO, "sox")
    await pool.aclose()


async def _run(conversion: Conversion, data: bytes) -> tuple[bytes, ConversionOutcome]:
    """Convert as an upload does: once more as long as another conversion may do better."""
    out, outcome = await run(conversion, data)
    while outcome.another is not None:
        out, outcome = await run(outcome.another(), data)
    return out, outcome


_TEXT = b"this is no audio at all\n" * 100
_HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>" * 20
_RANDOM = random.Random(7).randbytes(20_000)

_BROKEN: dict[str, tuple[bytes, AudioFormat]] = {
    **{f"nothing as {each.title}": (b"", each) for each in (WAV, MP3, OGG, FLAC, AU, AMR, PCMU)},
    **{f"one byte as {each.title}": (b"R", each) for each in (WAV, MP3, OGG, FLAC, AU, AMR)},
    **{f"text as {each.title}": (_TEXT, each) for each in (WAV, MP3, OGG, FLAC, PCMU, GSM)},
    **{f"noise as {each.title}": (_RANDOM, each) for each in (WAV, MP3, OGG, FLAC, AU, AMR)},
    "HTML as mp3": (_HTML, MP3),
    "mp3 as WAV": (damage.NOISE_MP3, WAV),
    "Ogg as mp3": (damage.NOISE_OGG, MP3),
    "WAV as mp3": (damage.NOISE, MP3),
    "FLAC as mp3": (damage.NOISE_FLAC, MP3),
    "M4A as mp3": (in_container("m4a"), MP3),
    "Opus as Vorbis": (in_container("opus"), OGG),
    "WAV of an unknown codec": (damage.wav_with(damage.TONE, code=0x1234), WAV),
    "WAV without channels": (damage.wav_with(damage.TONE, channels=0), WAV),
    "WAV of 32 channels": (damage.wav_with(damage.TONE, channels=32, block_align=64), WAV),
    "WAV of 65535 channels": (damage.wav_with(damage.TONE, channels=65535), WAV),
    "WAV of 0 Hz": (damage.wav_with(damage.TONE, rate=0), WAV),
    "WAV of 1 Hz": (damage.wav_with(damage.TONE, rate=1), WAV),
    "WAV of 4 GHz": (damage.wav_with(damage.TONE, rate=0xFFFFFFFF), WAV),
    "WAV of 64 bits": (damage.wav_with(damage.TONE, bits=64, block_align=8), WAV),
    "WAV without blocks": (damage.wav_with(damage.TONE, block_align=0), WAV),
    "AU of 1 Hz": (damage.au_with(damage.NOISE_AU, rate=1), AU),
    "AU of 255 channels": (damage.au_with(damage.NOISE_AU, rate=8000, channels=255), AU),
    "FLAC of 1 Hz": (damage.flac_with(damage.NOISE_FLAC, rate=1), FLAC),
    "Ogg of 1 Hz": (damage.ogg_with(damage.NOISE_OGG, rate=1), OGG),
    "a header alone": (with_data_size(damage.TONE, 80_000)[:44], WAV),
    "2 kB that claim 40,000 s": (damage.CLAIMING, WAV),
    **{f"WAV cut at {kept}": (damage.cut(damage.NOISE, kept), WAV) for kept in (0.01, 0.5, 0.95)},
    "mp3 with its middle zeroed": (damage.zeroed(damage.NOISE_MP3, 0.4, 0.6), MP3),
    "mp3 with its second half zeroed": (damage.zeroed(damage.NOISE_MP3, 0.5, 1), MP3),
    "mp3 with noise in its middle": (damage.scrambled(damage.NOISE_MP3, 0.4, 0.6), MP3),
    "mp3 with noise as its second half": (damage.scrambled(damage.NOISE_MP3, 0.5, 1), MP3),
    "mp3 with 2 % of its bytes changed": (damage.corrupted(damage.NOISE_MP3, 0.02), MP3),
    **{f"Ogg cut at {kept}": (damage.cut(damage.NOISE_OGG, kept), OGG) for kept in (0.1, 0.5, 0.9)},
    "Ogg with its middle zeroed": (damage.zeroed(damage.NOISE_OGG, 0.4, 0.6), OGG),
    "Ogg with 1 % of its bytes changed": (damage.corrupted(damage.NOISE_OGG, 0.01), OGG),
    **{f"FLAC cut at {kept}": (damage.cut(damage.NOISE_FLAC, kept), FLAC) for kept in (0.1, 0.9)},
    "FLAC with its middle zeroed": (damage.zeroed(damage.NOISE_FLAC, 0.4, 0.6), FLAC),
    "FLAC with 1 % of its bytes changed": (damage.corrupted(damage.NOISE_FLAC, 0.01), FLAC),
    "AU cut at the middle": (damage.cut(damage.NOISE_AU, 0.5), AU),
    "GSM with its second half zeroed": (damage.zeroed(encoded(damage.NOISE, "gsm"), 0.5, 1), GSM),
}

_WHOLE: dict[str, tuple[bytes, AudioFormat]] = {
    **{
        f"WAV that declares {size:#x} bytes": (with_data_size(noise(5.0), size), WAV)
        for size in (0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
    },
    "WAV with a chunk behind": (noise(5.0) + b"LIST\x00\x40\x00\x00INFO" + bytes(0x3FFC), WAV),
    **{f"WAV of {rate} Hz": (noise(5.0, rate=rate), WAV) for rate in (4000, 37_801, 192_000)},
    **{f"WAV of {bits} bits": (noise(5.0, bits=bits), WAV) for bits in (8, 24, 32)},
    "WAV of G.711": (encoded(damage.NOISE, "wav", "-e", "u-law"), WAV),
    "WAV of IMA ADPCM": (encoded(damage.NOISE, "wav", "-e", "ima-adpcm"), WAV),
    "mp3 with tags around": (
        damage.id3(90_000) + damage.NOISE_MP3 + damage.ape(70_000) + b"TAG" + bytes(125),
        MP3,
    ),
    "mp3 with a tag in its middle": (
        encoded(noise(2.5), "mp3") + damage.id3(60_000) + encoded(noise(2.5), "mp3"),
        MP3,
    ),
    "two Ogg files in one": (encoded(noise(2.5), "ogg") * 2, OGG),
    "FLAC of unknown length": (
        damage.NOISE_FLAC[:21] + bytes([damage.NOISE_FLAC[21] & 0xF0]) + bytes(4)
        + damage.NOISE_FLAC[26:],
        FLAC,
    ),
    "AMR": (damage.NOISE_AMR, AMR),
}  # fmt: skip


def _reason(outcome: ConversionOutcome) -> str:
    assert outcome.error is not None, outcome
    assert outcome.error.startswith(KAZOO_FAILURE + ": ")
    return outcome.error.removeprefix(KAZOO_FAILURE + ": ")


@pytest.mark.parametrize("start", _BACKENDS, indirect=True)
@pytest.mark.parametrize("name", _BROKEN)
async def test_what_is_broken_ends_in_an_error_that_says_why(
    start: Start, name: str, tmp_path: Path
) -> None:
    data, source = _BROKEN[name]

    _, outcome = await _run(start(source, tmp_path), data)

    assert len(_reason(outcome)) > 10


@pytest.mark.parametrize("start", _BACKENDS, indirect=True)
@pytest.mark.parametrize("name", _WHOLE)
async def test_what_only_looks_broken_is_converted_whole(
    start: Start, name: str, tmp_path: Path
) -> None:
    data, source = _WHOLE[name]

    out, outcome = await _run(start(source, tmp_path), data)

    assert outcome.error is None
    assert measure(out, "mp3").duration_s == pytest.approx(5.0, abs=0.5)


@pytest.mark.parametrize("start", _BACKENDS, indirect=True)
async def test_an_mp3_that_ends_within_a_frame_is_converted_with_a_warning(
    start: Start, tmp_path: Path
) -> None:
    _, outcome = await _run(start(MP3, tmp_path), damage.NOISE_MP3[:-20])

    assert outcome.error is None
    assert "the input ends within a frame" in outcome.warnings


async def test_six_channels_are_an_error_where_they_can_not_be_kept(tmp_path: Path) -> None:
    audio = tone(1.0, channels=6)

    _, kept = await run(_kazoo(WAV, tmp_path), audio)
    _, mixed = await run(_telephony(WAV, tmp_path), audio)

    assert "channels" in _reason(kept)
    assert mixed.error is None


@pytest.mark.parametrize("start", _SOX, indirect=True)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV])
async def test_a_converter_that_somebody_ends_is_an_error(
    start: Start, number: signal.Signals, tmp_path: Path
) -> None:
    before = set(psutil.Process().children(recursive=True))
    audio = noise(20.0, rate=48_000)
    async with start(WAV, tmp_path) as conversion:
        reading = asyncio.ensure_future(read_all(conversion))
        await conversion.feed(audio[: len(audio) // 2])
        (process,) = set(psutil.Process().children(recursive=True)) - before
        process.send_signal(number)
        await feed_all(conversion, audio[len(audio) // 2 :])
        await reading
        outcome = await conversion.outcome()

    assert _reason(outcome)
