from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kazoo_media.audio.inprocess.limiter import Limiter, PeakMeter
from kazoo_media.audio.inprocess.loudness import LoudnessMeter
from kazoo_media.audio.inprocess.outline import Outline
from kazoo_media.audio.inprocess.sound_meter import SoundMeter
from kazoo_media.audio.inprocess.speech_level import SpeechLevelMeter
from kazoo_media.audio.jobs import MOST_STRETCHES
from tests.support.loudness import independent_loudness


def sine(hertz: float, level: float, seconds: float, rate: int) -> NDArray[np.float32]:
    times = np.arange(round(seconds * rate)) / rate
    wave: NDArray[np.float32] = (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)
    return wave


def loudness(samples: NDArray[np.float32], rate: int, chunk: int = 16_384) -> float | None:
    shaped = samples.reshape(len(samples), -1)
    meter = LoudnessMeter(rate, shaped.shape[1])
    for at in range(0, len(shaped), chunk):
        meter.feed(shaped[at : at + chunk])
    return meter.level()


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("level_lufs", [-23.0, -33.0])
def test_the_tone_of_ebu_tech_3341_has_its_loudness(rate: int, level_lufs: float) -> None:
    # Source: EBU Tech 3341, table 1, cases 1 and 2: 1 kHz in both channels, peak as the loudness.
    left = sine(1000, 10 ** (level_lufs / 20), 20, rate)
    assert loudness(np.stack([left, left], axis=1), rate) == pytest.approx(level_lufs, abs=0.1)


def test_quiet_parts_are_gated() -> None:
    # Source: EBU Tech 3341, table 1, case 3.
    parts = [sine(1000, 10 ** (db / 20), seconds, 8000) for db, seconds in ((-36, 10), (-23, 60))]
    left = np.concatenate([parts[0], parts[1], parts[0]])
    assert loudness(np.stack([left, left], axis=1), 8000) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("colour", ["white", "brown", "hum", "offset", "bright"])
def test_loudness_agrees_with_libebur128_within_0_2_lu(channels: int, colour: str) -> None:
    rate = 48_000
    noise = np.random.default_rng(1).standard_normal((rate * 6, channels)) * 0.05
    if colour == "brown":
        noise = np.cumsum(noise, axis=0) * 0.02
    elif colour == "hum":
        noise = noise * 0.05 + sine(31.7, 0.5, 6, rate)[:, np.newaxis]
    elif colour == "offset":
        noise += 0.2
    elif colour == "bright":
        noise = np.diff(noise, axis=0) + sine(5500, 0.1, 6, rate)[1:, np.newaxis]
    other = independent_loudness(noise, rate)
    assert loudness(noise.astype(np.float32), rate) == pytest.approx(other, abs=0.2)


def test_audio_shorter_than_a_block_has_a_loudness_and_silence_has_none() -> None:
    assert loudness(sine(1000, 0.1, 0.25, 8000), 8000) == pytest.approx(-23.0, abs=0.2)
    assert loudness(np.zeros(80_000, np.float32), 8000) is None
    assert LoudnessMeter(8000, 1).level() is None


@settings(max_examples=20)
@given(chunk=st.integers(1, 9000))
def test_chunks_change_no_loudness(chunk: int) -> None:
    samples = sine(440, 0.3, 1.2, 8000) + sine(30, 0.3, 1.2, 8000)
    assert loudness(samples, 8000, chunk) == pytest.approx(loudness(samples, 8000), abs=1e-4)


def test_pauses_do_not_lower_the_speech_level() -> None:
    spoken = sine(500, 0.2, 4, 8000)
    pause = np.zeros(6 * 8000, np.float32)
    levels = []
    for audio in (spoken, np.concatenate([pause, spoken, pause])):
        meter = SpeechLevelMeter(8000)
        for at in range(0, len(audio), 3000):
            meter.feed(audio[at : at + 3000, np.newaxis])
        levels.append(meter.level())
    assert levels == pytest.approx([-17.0, -17.0], abs=0.5)


def test_silence_has_no_speech_level() -> None:
    meter = SpeechLevelMeter(8000)
    meter.feed(np.zeros((8000, 1), np.float32))
    assert meter.level() is None


def test_a_peak_between_the_samples_is_seen() -> None:
    # A quarter of the rate with the samples at 45 degrees: all of them are 3 dB below the peak.
    samples = np.tile(np.array([1, 1, -1, -1], np.float32), 500) * np.float32(0.5 * np.sqrt(0.5))
    meter = PeakMeter()
    for at in range(0, len(samples), 100):
        meter.feed(samples[at : at + 100])
    assert meter.peak == pytest.approx(0.5, rel=0.02)


def test_a_peak_far_above_the_samples_around_it_is_seen_after_a_louder_sample() -> None:
    # Half-way between two samples all of these add up: the largest that samples up to 1.0 can be.
    worst = np.sign(np.sinc(np.arange(-11, 13) - 0.5)).astype(np.float32)
    meter = PeakMeter()
    meter.feed(np.pad(sine(300, 1.6, 0.1, 8000), 100))
    meter.feed(np.pad(worst, 100))
    assert meter.peak > 2.2


@settings(max_examples=25)
@given(seed=st.integers(0, 999), hertz=st.floats(100, 3000), chunk=st.integers(50, 3000))
def test_the_peak_is_that_of_a_finer_signal(seed: int, hertz: float, chunk: int) -> None:
    random = np.random.default_rng(seed)
    samples = sine(hertz, 0.5, 1, 8000) + random.standard_normal(8000).astype(np.float32) * 0.05
    samples = np.pad(samples * np.linspace(0.2, 1, 8000, dtype=np.float32), 100)
    meter = PeakMeter()
    for at in range(0, len(samples), chunk):
        meter.feed(samples[at : at + chunk])
    finer = np.fft.irfft(np.fft.rfft(samples), 4 * len(samples)) * 4
    assert meter.peak == pytest.approx(np.abs(finer).max(), rel=0.05)
    whole = PeakMeter()
    whole.feed(samples)
    assert meter.peak == pytest.approx(whole.peak, rel=1e-5)


@settings(max_examples=25)
@given(chunk=st.integers(1, 5000), level=st.floats(0.2, 4), seed=st.integers(0, 99))
def test_nothing_passes_the_ceiling_of_the_limiter(chunk: int, level: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    samples = (random.standard_normal(6000) * 0.05).astype(np.float32)
    samples[random.integers(0, 6000, 5)] = level
    samples[2000:2400] = sine(700, level, 0.05, 8000)
    limiter = Limiter(8000, -1.0)
    out = [limiter.process(samples[at : at + chunk], last=False) for at in range(0, 6000, chunk)]
    limited = np.concatenate([*out, limiter.process(samples[:0], last=True)])
    assert len(limited) == 6000
    assert np.abs(limited).max() <= 10 ** (-1 / 20) + 1e-6
    assert np.all(np.sign(limited) == np.sign(samples))
    assert np.all(np.abs(limited) <= np.abs(samples) + 1e-6)


def test_the_limiter_leaves_alone_what_is_below_its_ceiling() -> None:
    samples = sine(300, 0.5, 1, 8000)
    limiter = Limiter(8000, -1.0)
    out = limiter.process(samples, last=False)
    limited = np.concatenate([out, limiter.process(samples[:0], last=True)])
    np.testing.assert_array_equal(limited, samples)


@settings(max_examples=25)
@given(frames=st.integers(0, 70_000), chunk=st.integers(1, 40_000), channels=st.integers(1, 2))
def test_a_waveform_holds_the_bounds_of_every_stretch(
    frames: int, chunk: int, channels: int
) -> None:
    samples = np.random.default_rng(frames).uniform(-1, 1, (frames, channels)).astype(np.float32)
    outline = Outline()
    peaks = [outline.feed(samples[at : at + chunk]) for at in range(0, frames, chunk)]
    pairs = np.frombuffer(outline.peaks(), np.int8).reshape(-1, 2)
    assert max(peaks, default=0.0) == (np.abs(samples).max() if frames else 0.0)
    assert len(pairs) <= MOST_STRETCHES
    length = 8
    while frames > length * MOST_STRETCHES:
        length *= 2
    assert len(pairs) == -(-frames // length)
    for at, (low, high) in list(enumerate(pairs))[:: max(1, len(pairs) // 50)]:
        stretch = samples[at * length : (at + 1) * length]
        assert low == np.rint(stretch.min() * 127)
        assert high == np.rint(stretch.max() * 127)


def test_clipped_samples_are_counted() -> None:
    meter = SoundMeter(8000, 1, 32767 / 32768)
    samples = np.full((100, 1), 0.5, np.float32)
    samples[10:15] = 32767 / 32768
    samples[20:22] = -1.0
    meter.feed(samples)
    sound = meter.sound()
    assert sound.clipped_samples == 7
    assert sound.peak_dbfs == 0.0
    assert sound.duration_ms == 12


@settings(max_examples=25)
@given(gain_db=st.floats(-20, 30), quiet_db=st.floats(-60, 0))
def test_a_sound_with_a_gain_is_that_of_louder_samples(gain_db: float, quiet_db: float) -> None:
    gain = 10 ** (gain_db / 20)
    # What lies below the absolute gate may lie above it with the gain.
    parts = [sine(500, 0.01, 2, 8000), sine(500, 0.01 * 10 ** (quiet_db / 20), 2, 8000)]
    samples = np.concatenate(parts)[:, np.newaxis]
    meter, louder = SoundMeter(8000, 1, 1.0), SoundMeter(8000, 1, 1.0)
    meter.feed(samples)
    louder.feed(samples * np.float32(gain))
    told, measured = meter.sound(gain), louder.sound()
    assert told.loudness_lufs == pytest.approx(measured.loudness_lufs, abs=0.02)
    assert told.peak_dbfs == pytest.approx(measured.peak_dbfs, abs=0.02)
    bounds = [np.frombuffer(each.peaks, np.int8).astype(int) for each in (told, measured)]
    assert np.abs(bounds[0] - bounds[1]).max() <= 1
