"""No file that is broken becomes less audio, or noise, without a word: each of these was converted
to garbage with exit status 0, or to a part of it, by the bare command.

Every row runs with every back end.
"""

from __future__ import annotations

import asyncio
import random
import signal
from dataclasses import replace

import pytest

from kazoo_media.audio.convert.converters import Backend, Converters
from kazoo_media.audio.formats import AudioFormat
from tests.support.audio_samples import encoded, measure, noise, tone, with_data_size
from tests.support.processes import programs
from tests.unit.audio.convert import damage, every
from tests.unit.audio.inspect.made_containers import in_container
from tests.unit.audio.programs.sox_runs import (
    feed_all,
    read_all,
)

WAV, MP3, OGG, FLAC = AudioFormat.WAV, AudioFormat.MP3, AudioFormat.OGG, AudioFormat.FLAC
AU, AMR, GSM, PCMU = AudioFormat.AU, AudioFormat.AMR, AudioFormat.GSM, AudioFormat.PCMU

_BY_SOX = ["kazoo", Backend.SOX]
_BY_CHOICE = ["kazoo", Backend.SOX, Backend.AUTO]


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
    **{
        f"mp3 with half a second {how.__name__}": (how(damage.NOISE_MP3, 0.4, 0.5), MP3)
        for how in (damage.zeroed, damage.scrambled)
    },
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
    "FLAC of unknown length": (
        damage.NOISE_FLAC[:21] + bytes([damage.NOISE_FLAC[21] & 0xF0]) + bytes(4)
        + damage.NOISE_FLAC[26:],
        FLAC,
    ),
    "AMR": (damage.NOISE_AMR, AMR),
}  # fmt: skip


_WHOLE_BY_FFMPEG = {"mp3 with a tag in its middle", "mp3 with tags around"}
_WHOLE_BY_SOX: dict[str, tuple[bytes, AudioFormat]] = {
    "mp3 with tags around": (
        damage.id3(90_000) + damage.NOISE_MP3 + damage.ape(70_000) + b"TAG" + bytes(125),
        MP3,
    ),
    "mp3 with a tag in its middle": (
        encoded(noise(2.5), "mp3") + damage.id3(60_000) + encoded(noise(2.5), "mp3"),
        MP3,
    ),
    "two Ogg files in one": (encoded(noise(2.5), "ogg") * 2, OGG),
    "mp3 that ends within a frame": (damage.NOISE_MP3[:-20], MP3),
}  # fmt: skip


@pytest.mark.parametrize("name", _BROKEN)
async def test_what_is_broken_ends_in_an_error_that_says_why(start: every.Start, name: str) -> None:
    data, source = _BROKEN[name]

    _, outcome = await every.run_all(start(source), data)

    assert len(every.reason(outcome)) > 10


@pytest.mark.parametrize("name", _WHOLE)
async def test_what_only_looks_broken_is_converted_whole(start: every.Start, name: str) -> None:
    data, source = _WHOLE[name]

    out, outcome = await every.run_all(start(source), data)

    assert outcome.report.error is None
    assert measure(out, "mp3").duration_s == pytest.approx(5.0, abs=0.4)


@pytest.mark.parametrize("start", _BY_CHOICE, indirect=True)
@pytest.mark.parametrize("name", _WHOLE_BY_SOX)
async def test_what_only_sox_reads_to_its_end_is_converted_whole(
    start: every.Start, name: str
) -> None:
    data, source = _WHOLE_BY_SOX[name]

    out, outcome = await every.run_all(start(source), data)

    assert outcome.report.error is None
    assert measure(out, "mp3").duration_s == pytest.approx(5.0, abs=0.5)
    ends_early = "the input ends within a frame" in outcome.report.warnings
    assert ends_early == (name == "mp3 that ends within a frame")


@pytest.mark.parametrize("start", [Backend.INPROCESS], indirect=True)
@pytest.mark.parametrize("name", sorted(set(_WHOLE_BY_SOX) - _WHOLE_BY_FFMPEG))
async def test_and_where_sox_is_not_wanted_it_is_an_error(start: every.Start, name: str) -> None:
    data, source = _WHOLE_BY_SOX[name]

    _, outcome = await every.run_all(start(source), data)

    assert every.reason(outcome)


@pytest.mark.parametrize("start", _BY_CHOICE, indirect=True)
async def test_gsm_with_its_second_half_zeroed_is_a_warning(start: every.Start) -> None:
    gsm = damage.zeroed(encoded(damage.NOISE, "gsm"), 0.5, 1)

    out, outcome = await every.run_all(start(GSM), gsm)

    assert "bytes after the last GSM frame were left out" in outcome.report.warnings[0]
    assert measure(out, "mp3").duration_s == pytest.approx(2.5, abs=0.3)


async def test_without_ffmpeg_six_channels_are_an_error_where_they_cannot_be_kept(
    backends: Converters,
) -> None:
    audio, without = tone(1.0, channels=6), replace(backends, ffmpeg=None)

    _, kept = await every.run_all(every.kazoo(without, WAV), audio)
    _, mixed = await every.run_all(every.telephony(without, WAV, Backend.AUTO), audio)

    assert "channels" in every.reason(kept)
    assert mixed.report.error is None


@pytest.mark.parametrize("start", _BY_SOX, indirect=True)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV])
async def test_a_converter_that_somebody_ends_puts_out_all_or_an_error(
    start: every.Start, number: signal.Signals
) -> None:
    audio = noise(20.0, rate=48_000)
    async with start(WAV) as conversion:
        reading = asyncio.ensure_future(read_all(conversion))
        await conversion.feed(audio[: len(audio) // 2])
        [process] = programs()
        process.send_signal(number)
        await feed_all(conversion, audio[len(audio) // 2 :])
        out = await reading
        outcome = await conversion.outcome()

    if outcome.report.error is None:  # sox ignores those that ask it to end while it starts
        assert number in (signal.SIGTERM, signal.SIGINT)
        assert measure(out, "mp3").duration_s == pytest.approx(20.0, abs=0.2)
