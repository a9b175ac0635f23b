"""Long audio of the presets that hear everything first: encoded while it comes, where that can be.

What it should be is known from the same conversion to WAV, where everything is done at the end.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable
from tempfile import TemporaryFile

import numpy as np
import pytest
import soundfile
import soxr

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inprocess.encoders import Mp3Encoder, WavEncoder
from kazoo_media.audio.inprocess.levelling import Leveller
from kazoo_media.audio.inspect.stream_facts import DurationMeter
from kazoo_media.audio.jobs import Report
from kazoo_media.audio.presets import PRESETS
from tests.support.audio_samples import measure
from tests.unit.audio.inprocess.sessions import job, run
from tests.unit.audio.inprocess.test_presets import Samples, at_lufs, decoded, loudness_of

RATE = 8000
SEGMENT = RATE // 10
CODEC_DELAY = 576 + 529  # LAME's, and a decoder's


def takes(*lufs: float) -> Samples:
    """Return eight seconds of speech at each level."""
    return np.concatenate([take() * 10 ** ((level + 30) / 20) for level in lufs])


@functools.cache
def take() -> Samples:
    return np.asarray(soxr.resample(at_lufs(-30), 44_100, RATE))


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE))


def clicks() -> Samples:
    sound = takes(*[-32] * 5)
    sound[:: 4 * RATE] = 0.9
    return sound


EASY: dict[str, Callable[[], Samples]] = {
    "even": lambda: takes(*[-25] * 6),
    "loud": lambda: takes(*[-12] * 6),
    "clipped": lambda: np.clip(takes(*[-12] * 6) * 4, -1, 1),
    "quiet": lambda: takes(*[-42] * 6),
    "very quiet": lambda: takes(*[-47] * 6),
    "a little louder in the end": lambda: takes(*[-25] * 4, *[-23.4] * 4),
    "a little quieter in the end": lambda: takes(*[-25] * 4, *[-28.2] * 6),
    "far louder after half a minute": lambda: takes(*[-44] * 4, *[-26] * 5),
    "much too loud after half a minute": lambda: takes(*[-44] * 4, *[-8] * 5),
    "far quieter in the end": lambda: takes(*[-14] * 4, *[-40] * 4),
    "silence first": lambda: np.concatenate([silence(100), takes(-25, -25)]),
    "silence last": lambda: np.concatenate([takes(-25, -25), silence(100)]),
    "hardly long": lambda: takes(*[-25] * 4)[: 31 * RATE],
}
HARD: dict[str, Callable[[], Samples]] = {
    "peaks over the ceiling": clicks,
    "much too loud in the end": lambda: takes(*[-44] * 4, *[-8] * 3),
    "a peak over the ceiling in the end": lambda: np.concatenate(
        [takes(*[-32] * 6), clicks()[:100]]
    ),
    "short": lambda: takes(*[-25] * 3),
}


def as_wav(samples: Samples) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def leveller(preset: str, samples: Samples, target: AudioFormat, sink: int, spool: int) -> Leveller:
    """Return one that has got all of it, in pieces."""
    is_mp3 = target is AudioFormat.MP3
    encoder = Mp3Encoder(sink, RATE, 32) if is_mp3 else WavEncoder(sink, RATE, "alaw")
    level = PRESETS[preset].level
    assert level is not None
    one = Leveller(level, RATE, encoder, spool)
    for at in range(0, len(samples), 2 * RATE):
        one.keep(samples[at : at + 2 * RATE].astype(np.float32))
    return one


def is_written_at_once(preset: str, samples: Samples, target: AudioFormat) -> bool:
    with TemporaryFile() as sink, TemporaryFile() as spool:
        sound = leveller(preset, samples, target, sink.fileno(), spool.fileno()).write_encoded()
        assert (sound is None) == (os.fstat(sink.fileno()).st_size < 1000)
        return sound is not None


@pytest.mark.parametrize("preset", ["loudness", "rfc7874"])
@pytest.mark.parametrize("name", EASY)
def test_a_long_mp3_is_encoded_while_it_comes(name: str, preset: str) -> None:
    assert is_written_at_once(preset, EASY[name](), AudioFormat.MP3)


@pytest.mark.parametrize("name", HARD)
def test_what_can_not_be_made_by_one_gain_is_encoded_at_the_end(name: str) -> None:
    assert not is_written_at_once("loudness", HARD[name](), AudioFormat.MP3)


def test_what_is_no_mp3_is_encoded_at_the_end() -> None:
    assert not is_written_at_once("loudness", EASY["even"](), AudioFormat.WAV)


def converted(samples: Samples, preset: str, target: AudioFormat) -> tuple[bytes, Report]:
    out, report = run(job(target=target, preset=preset), as_wav(samples))
    assert report.error is None
    assert report.warnings == ()
    return out, report


@pytest.mark.parametrize("name", [*EASY, *HARD])
def test_a_long_mp3_has_its_level_whatever_came_first(name: str) -> None:
    out, report = converted((EASY | HARD)[name](), "loudness", AudioFormat.MP3)
    heard = decoded(out)
    assert loudness_of(heard, RATE) == pytest.approx(-19.0, abs=0.7)
    between = soxr.resample(heard, RATE, 8 * RATE, quality="VHQ")
    assert 20 * np.log10(np.abs(between).max()) <= -0.95
    after = report.after
    assert after is not None
    assert after.loudness_lufs == pytest.approx(-19.0, abs=0.4)
    assert after.loudness_lufs == pytest.approx(loudness_of(heard, RATE), abs=0.4)
    assert after.peak_dbfs == pytest.approx(20 * np.log10(np.abs(heard).max()), abs=2.0)
    assert np.abs(np.frombuffer(after.peaks, np.int8)).max() == pytest.approx(
        127 * np.abs(heard).max(), rel=0.25
    )


@pytest.mark.parametrize(
    ("name", "preset"), [*((name, "loudness") for name in EASY), ("even", "rfc7874")]
)
def test_a_long_mp3_is_what_encoding_at_the_same_gain_gives(name: str, preset: str) -> None:
    samples = EASY[name]()
    out, report = converted(samples, preset, AudioFormat.MP3)
    plain, report_of_plain = converted(samples, preset, AudioFormat.WAV)
    assert report.after is not None
    assert report.after.loudness_lufs is not None
    assert report_of_plain.after is not None
    assert report_of_plain.after.loudness_lufs is not None
    gain_db = report.after.loudness_lufs - report_of_plain.after.loudness_lufs
    wanted = decoded(plain) * 10 ** (gain_db / 20)
    directly, heard = decoded(encoded(wanted)), decoded(out)
    assert len(heard) == len(directly)
    assert rms_db(heard) == pytest.approx(rms_db(directly), abs=0.05)
    # No click in any tenth of a second, nothing missing: only the codec's noise.
    assert worst_noise_db(wanted, heard) < -20
    assert worst_noise_db(wanted, directly) < -20


def encoded(samples: Samples) -> bytes:
    """Return an mp3 with this level."""
    with TemporaryFile() as sink:
        encoder = Mp3Encoder(sink.fileno(), RATE, 32)
        encoder.encode(np.rint(samples * (32768 / encoder.factor)).astype(np.int16))
        encoder.finish()
        sink.seek(0)
        return sink.read()


def rms_db(samples: Samples) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(samples**2))))


def worst_noise_db(wanted: Samples, heard: Samples) -> float:
    """Return the most that a tenth of a second differs, of those in which something is to be heard,
    below the level that it has.
    """
    heard = heard[CODEC_DELAY:]
    count = len(wanted) // SEGMENT
    pieces, heard_pieces = (each[: count * SEGMENT].reshape(count, -1) for each in (wanted, heard))
    power = (pieces**2).mean(axis=1)
    loud = power > 1e-4 * power.max()
    noise = ((heard_pieces - pieces) ** 2).mean(axis=1)
    return float(10 * np.log10((noise[loud] / power[loud]).max()))


def test_every_frame_of_a_long_mp3_is_there() -> None:
    samples = EASY["a little louder in the end"]()
    out, _ = converted(samples, "loudness", AudioFormat.MP3)
    meter = DurationMeter(AudioFormat.MP3)
    meter.feed(out)
    assert not meter.is_truncated()
    duration_ms = meter.facts().duration_ms
    assert duration_ms == len(decoded(out)) / 8
    assert duration_ms == pytest.approx(len(samples) / 8, abs=250)
    assert measure(out, "mp3").duration_s == pytest.approx(len(samples) / RATE, abs=0.25)
