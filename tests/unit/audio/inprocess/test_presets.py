"""What the presets do to levels, heard in what a decoder makes of the output."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.presets import PRESETS
from tests.support.audio_samples import encoded, measure, tone, wav_bytes
from tests.support.loudness import independent_loudness
from tests.unit.audio.inprocess.sessions import convert, job, run

RATE = 44_100
Samples = NDArray[np.float64]


@functools.cache
def speech(seconds: float = 8.0) -> Samples:
    """Return something with the bursts, pauses and pitch of speech, loudest sample 1.0."""
    random = np.random.default_rng(7)
    times = np.arange(round(seconds * RATE)) / RATE
    pitch = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * times)) / RATE
    voice = sum(np.sin(pitch * n) / n**1.2 for n in range(1, 28))
    syllables = np.repeat(random.uniform(0, 1, round(seconds * 5) + 1) > 0.3, RATE // 5)
    loud = np.convolve(syllables, np.hanning(2000) / 1000, mode="same")[: len(times)]
    sound: Samples = (voice + random.standard_normal(len(times)) * 0.05) * loud
    sound /= np.abs(sound).max()
    return sound


def loudness_of(samples: Samples, rate: int) -> float:
    found = independent_loudness(samples, rate)
    assert found is not None
    return found


def at_lufs(lufs: float) -> Samples:
    sound = speech()
    return sound * 10 ** ((lufs - loudness_of(sound, RATE)) / 20)


def half_quiet() -> Samples:
    sound = at_lufs(-12.6)
    sound[len(sound) // 2 :] *= 10 ** (-25 / 20)
    return sound


def clicks() -> Samples:
    sound = at_lufs(-30)
    sound[:: RATE // 2] = 0.9
    return sound


def square() -> Samples:
    wave: Samples = np.sign(np.sin(2 * np.pi * 300 * np.arange(5 * RATE) / RATE))
    return wave


def one_leg() -> Samples:
    return np.stack([at_lufs(-16), np.zeros(8 * RATE)], axis=1)


HOSTILE: dict[str, Callable[[], Samples]] = {
    "loud": lambda: at_lufs(-12.6),
    "12 dB over full scale": lambda: np.clip(at_lufs(-12.6) * 4, -1, 1),
    "quiet": lambda: at_lufs(-27.6),
    "very quiet": lambda: at_lufs(-42.6),
    "half of it quiet": half_quiet,
    "one leg of two": one_leg,
    "with an offset": lambda: np.clip(at_lufs(-25) + 0.2, -1, 1),
    "full-scale square": square,
    "clicks": clicks,
    "noise": lambda: np.clip(np.random.default_rng(1).standard_normal(5 * RATE) * 0.3, -1, 1),
    "hum": lambda: at_lufs(-30) + 0.3 * np.sin(2 * np.pi * 50 * np.arange(8 * RATE) / RATE),
}


def as_wav(samples: Samples) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def decoded(data: bytes) -> Samples:
    samples, _ = soundfile.read(io.BytesIO(data))
    return np.asarray(samples)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("target", [AudioFormat.MP3, AudioFormat.WAV])
def test_loudness_makes_everything_equally_loud_and_clips_nothing(
    name: str, target: AudioFormat
) -> None:
    out, report = run(job(target=target, preset="loudness"), as_wav(HOSTILE[name]()))
    assert report.error is None
    assert report.warnings == ()
    heard = decoded(out)
    assert loudness_of(heard, 8000) == pytest.approx(-19.0, abs=0.5)
    between = soxr.resample(heard, 8000, 64_000, quality="VHQ")
    assert 20 * np.log10(np.abs(between).max()) <= -0.95
    assert report.after is not None
    assert report.after.loudness_lufs == pytest.approx(loudness_of(heard, 8000), abs=0.4)
    assert report.after.clipped_samples == 0


@pytest.mark.parametrize("target", [AudioFormat.OGG, AudioFormat.OPUS])
def test_loudness_is_the_same_in_every_format(target: AudioFormat) -> None:
    heard = decoded(convert(job(target=target, preset="loudness"), as_wav(at_lufs(-35))))
    assert loudness_of(heard, 8000) == pytest.approx(-19.0, abs=0.5)


def test_rfc7874_sets_the_level_of_speech() -> None:
    for level in (-40.0, -14.0):
        heard = decoded(convert(job(preset="rfc7874"), as_wav(at_lufs(level))))
        assert loudness_of(heard, 8000) == pytest.approx(-22.8, abs=1.0)


@pytest.mark.parametrize("audio", [as_wav(at_lufs(-30)), tone(3.0)])
@pytest.mark.parametrize("preset", ["telephony", "guard", "loudness", "rfc7874"])
@pytest.mark.parametrize("target", [AudioFormat.WAV, AudioFormat.MP3])
def test_the_report_tells_what_will_be_heard(
    audio: bytes, preset: str, target: AudioFormat
) -> None:
    out, report = run(job(target=target, preset=preset), audio)
    heard = decoded(out)
    after = report.after
    assert after is not None
    within = 0.2 if target is AudioFormat.WAV else 0.5  # an mp3 has other samples
    assert after.loudness_lufs == pytest.approx(loudness_of(heard, 8000), abs=within)
    assert after.clipped_samples == 0
    if target is AudioFormat.WAV:
        peak = np.abs(heard).max()
        assert after.peak_dbfs == pytest.approx(20 * np.log10(peak), abs=0.01)
        bounds = np.frombuffer(after.peaks, np.int8)
        assert np.abs(bounds).max() == pytest.approx(127 * peak, abs=1)
        assert after.duration_ms == round(len(heard) / 8)


def test_what_is_nearly_silent_is_raised_by_30_db_at_most() -> None:
    quiet = tone(3.0, rate=RATE, frequency_hertz=1000, level_db=-60)
    assert measure(convert(job(preset="loudness"), quiet)).level_db == pytest.approx(-30, abs=0.5)


def test_silence_stays_silence() -> None:
    for preset in PRESETS:
        out, report = run(job(preset=preset), as_wav(np.zeros(RATE)))
        assert report.error is None
        assert report.after is not None
        assert report.after.peak_dbfs is None
        assert not any(out[44:])


@pytest.mark.parametrize("preset", ["guard", "voicemail", "loudness", "rfc7874"])
def test_hum_and_offset_go_and_speech_stays(preset: str) -> None:
    times = np.arange(4 * RATE) / RATE
    mixed = 0.1 * np.sin(2 * np.pi * 700 * times) + 0.1 * np.sin(2 * np.pi * 20 * times) + 0.2
    heard = decoded(convert(job(preset=preset), as_wav(mixed)))[8000:24_000]
    spectrum = 20 * np.log10(np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) + 1e-12)
    speech_db, hum_db, offset_db = spectrum[1400], spectrum[40], spectrum[0]
    assert hum_db < speech_db - 15
    assert offset_db < speech_db - 60


@pytest.mark.parametrize("preset", ["guard", "voicemail", "loudness"])
def test_a_clipped_source_comes_out_with_head_room(preset: str) -> None:
    out, report = run(job(target=AudioFormat.MP3, preset=preset), as_wav(square()))
    assert report.warnings == ()
    assert report.before is not None
    assert report.before.clipped_samples > 4 * RATE
    assert np.abs(decoded(out)).max() < 1.0


def test_guard_follows_the_curve_of_sox() -> None:
    # -6 dB of head-room, then 2x / (1 + x): a sine of peak 1.0 comes out with a peak of 2/3.
    for peak, wanted in ((1.0, 2 / 3), (0.1, 0.0952)):
        sine = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE) * peak
        heard = decoded(convert(job(preset="guard"), as_wav(sine)))[2000:6000]
        assert np.abs(heard).max() == pytest.approx(wanted, rel=0.02)


def test_voicemail_brings_levels_together() -> None:
    levels = []
    for level_db in (-45.0, -15.0):
        one = tone(4.0, rate=RATE, frequency_hertz=500, level_db=level_db)
        by_sox = encoded(one, "wav", effects=PRESETS["voicemail"].effects())
        levels.append(measure(convert(job(preset="voicemail"), one)).level_db)
        assert levels[-1] == pytest.approx(measure(by_sox).level_db, abs=0.7)
    assert levels[0] > -45
    assert levels[1] - levels[0] < 20


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_keeps_length_and_pitch_whatever_the_chunks(preset: str) -> None:
    audio = wav_bytes(np.sin(2 * np.pi * 700 * np.arange(24_001) / 8000) * 0.3, 8000, 1, 16)
    out = convert(job(preset=preset), audio)
    found = measure(out)
    assert found.duration_s == pytest.approx(3.0, abs=0.001)
    assert found.frequency_hertz == pytest.approx(700, abs=1)
    pieces = decoded(convert(job(preset=preset), audio, 700))
    np.testing.assert_allclose(pieces, decoded(out), atol=2 / 32768)
