"""What becomes of several channels in presets that make one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kazoo_media.audio.inprocess.downmix import Downmix
from tests.support.audio_samples import measure, tone, wav_bytes
from tests.unit.audio.inprocess.sessions import job, run

_RATE = 8000
_TONE = np.sin(2 * np.pi * 440 * np.arange(2 * _RATE) / _RATE) * 0.5
_NOISE = np.random.default_rng(4).standard_normal(2 * _RATE) * 0.1


def _wav(*channels: NDArray[np.float64]) -> bytes:
    interleaved = np.stack(channels, axis=1).reshape(-1)
    mono = wav_bytes(interleaved, _RATE, 1, 16)
    count = len(channels)
    shape = count.to_bytes(2, "little") + _RATE.to_bytes(4, "little")
    return mono[:22] + shape + mono[28:32] + (2 * count).to_bytes(2, "little") + mono[34:]


_CANCELLING = {
    "inverted": (_TONE, -_TONE),
    "nearly inverted": (_TONE, -0.9 * _TONE),
    "inverted and much quieter first": (0.1 * _TONE, -0.12 * _TONE),
    "two pairs": (_TONE, -_TONE, _TONE, -_TONE),
    "noise": (_NOISE, -_NOISE),
}


@pytest.mark.parametrize("name", _CANCELLING)
@pytest.mark.parametrize("preset", ["telephony", "wideband", "guard", "voicemail", "loudness"])
def test_channels_that_cancel_each_other_stay_audible(name: str, preset: str) -> None:
    channels = _CANCELLING[name]

    made, report = run(job(preset=preset), _wav(*channels))

    assert report.error is None
    assert "the channels cancel each other: one of them was used instead of their sum" in (
        report.warnings
    )
    assert report.before is not None
    assert report.after is not None
    assert report.before.loudness_lufs is not None
    assert report.after.loudness_lufs is not None
    assert report.before.loudness_lufs - report.after.loudness_lufs < 17
    assert measure(made).duration_s == pytest.approx(2.0, abs=0.01)


def test_other_channels_are_mixed_to_their_mean_without_a_warning() -> None:
    made, report = run(job(), _wav(_TONE, _NOISE))

    assert report.warnings == ()
    expected = np.round((_TONE + _NOISE) / 2 * 32768)
    found = np.frombuffer(made[44:], "<i2")
    assert np.abs(found - expected).max() <= 1


def test_silence_does_not_cancel() -> None:
    assert run(job(), _wav(0 * _TONE, 0 * _TONE))[1].warnings == ()


@pytest.mark.parametrize("block_frames", [50, 500, 3000, 50_000])
def test_only_the_stretch_that_cancels_is_replaced(block_frames: int) -> None:
    left = np.concatenate((_NOISE, _TONE)).astype(np.float32)
    right = np.concatenate((_NOISE, -_TONE)).astype(np.float32)
    frames = np.stack((left, right), axis=1)
    downmix = Downmix(_RATE, 2)

    made = [
        downmix.process(frames[at : at + block_frames])
        for at in range(0, len(frames), block_frames)
    ]

    assert downmix.cancels
    mixed = np.concatenate(made)
    assert np.allclose(mixed[: len(_NOISE)], _NOISE, atol=1e-6)
    assert np.allclose(mixed[-len(_TONE) + 2000 :], _TONE[2000:], atol=1e-6)


def test_a_tone_that_the_target_cannot_hold_is_a_warning() -> None:
    _, report = run(job(), tone(2.0, rate=44_100, frequency_hertz=9000))

    assert report.error is None
    assert any("level" in each for each in report.warnings)
