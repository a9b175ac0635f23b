"""Frames of mp3 made louder: what a decoder hears of it, and what of a frame is left alone."""

from __future__ import annotations

import io

import lameenc
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from kazoo_media.audio.inprocess.mp3_gain import STEP_DB, frames_of, highest_gain, raised
from tests.support.audio_samples import encoded, tone

RATE = 8000


def mp3(samples: NDArray[np.float64], kilobits_per_s: int = 32, rate: int = RATE) -> bytes:
    lame = lameenc.Encoder()
    lame.silence()
    lame.set_channels(1)
    lame.set_in_sample_rate(rate)
    lame.set_out_sample_rate(rate)
    lame.set_bit_rate(kilobits_per_s)
    whole = np.rint(samples * 32767).astype(np.int16)
    return bytes(lame.encode(whole.tobytes())) + bytes(lame.flush())


def bursts(seconds: float = 3.0) -> NDArray[np.float64]:
    """Return noise that swells and ends again and again, with digital silence between."""
    times = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(1).standard_normal(len(times))
    swell: NDArray[np.float64] = np.clip(np.sin(2 * np.pi * 0.7 * times), 0, 1)
    return noise * swell * 0.05


def heard(data: bytes) -> NDArray[np.float64]:
    samples, _ = soundfile.read(io.BytesIO(data))
    return np.asarray(samples)


@pytest.mark.parametrize("steps", [-4, 1, 4, 12])
def test_a_decoder_hears_the_same_at_another_level(steps: int) -> None:
    original = mp3(bursts())
    louder = raised(frames_of(original), steps).tobytes()
    wanted = heard(original) * 10 ** (steps * STEP_DB / 20)
    np.testing.assert_allclose(heard(louder), wanted, atol=1e-5)


def test_nothing_of_a_frame_changes_but_its_gain() -> None:
    frames = frames_of(mp3(bursts()))
    before, after = (np.unpackbits(each, axis=1) for each in (frames, raised(frames, 5)))
    gains = np.zeros(before.shape[1], np.bool_)
    gains[62:70] = True
    np.testing.assert_array_equal(before[:, ~gains], after[:, ~gains])
    added = np.packbits(after[:, gains], axis=1).astype(int) - np.packbits(before[:, gains], axis=1)
    holds_something = before[:, 41:53].any(axis=1)
    assert 0 < np.count_nonzero(holds_something) < len(frames)
    np.testing.assert_array_equal(added[:, 0], 5 * holds_something)


def test_the_highest_gain_is_that_of_the_loudest_frame() -> None:
    quiet, loud = bursts(), bursts()
    loud[: RATE // 2] *= 4
    difference = highest_gain(frames_of(mp3(loud))) - highest_gain(frames_of(mp3(quiet)))
    assert difference * STEP_DB == pytest.approx(12, abs=3)
    assert highest_gain(frames_of(mp3(np.zeros(RATE)))) == 0
    assert highest_gain(frames_of(b"")) == 0


@pytest.mark.parametrize(("rate", "kilobits_per_s"), [(8000, 32), (8000, 8), (16_000, 64)])
def test_frames_are_found_whatever_their_length(rate: int, kilobits_per_s: int) -> None:
    data = mp3(bursts(), kilobits_per_s, rate)
    assert frames_of(data).tobytes() == data
    assert frames_of(data[:-1]).tobytes() == data[: -frames_of(data).shape[1]]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(tone(1.0, channels=2), "mp3"), id="stereo"),
        pytest.param(encoded(tone(1.0, rate=44_100), "mp3"), id="MPEG 1"),
        pytest.param(encoded(tone(1.0), "mp3", "-C", "-4.2"), id="lengths that vary"),
        pytest.param(b"RIFF" + bytes(500), id="no frames"),
        pytest.param(b"\xff\xe2" + mp3(bursts())[2:], id="a checksum"),
    ],
)
def test_other_streams_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="these"):
        frames_of(data)
