"""Long audio of the presets that measure all of it before they choose a gain."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
import soxr

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.duration_meter import DurationMeter
from kazoo_media.audio.jobs import Report
from tests.support.audio_samples import measure
from tests.unit.audio.inprocess.sessions import job, run
from tests.unit.audio.inprocess.test_presets import Samples, at_lufs, decoded, loudness_of

RATE = 8000


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


LONG: dict[str, Callable[[], Samples]] = {
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


def converted(samples: Samples, preset: str, target: AudioFormat) -> tuple[bytes, Report]:
    out, report = run(job(target=target, preset=preset), as_wav(samples))
    assert report.error is None
    assert report.warnings == ()
    return out, report


@pytest.mark.parametrize("name", LONG)
def test_a_long_mp3_has_its_level_whatever_came_first(name: str) -> None:
    out, report = converted(LONG[name](), "loudness", AudioFormat.MP3)
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


def test_every_frame_of_a_long_mp3_is_there() -> None:
    samples = LONG["a little louder in the end"]()
    out, _ = converted(samples, "loudness", AudioFormat.MP3)
    meter = DurationMeter(AudioFormat.MP3)
    meter.feed(out)
    assert not meter.is_truncated()
    duration_ms = meter.facts().duration_ms
    assert duration_ms == len(decoded(out)) / 8
    assert duration_ms == pytest.approx(len(samples) / 8, abs=250)
    assert measure(out, "mp3").duration_s == pytest.approx(len(samples) / RATE, abs=0.25)
