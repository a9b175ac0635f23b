"""The LAME of the system, as sox calls it."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inprocess import lame
from kazoo_media.audio.inprocess.lame import LameError, SystemLameEncoder
from tests.support.audio_samples import measure, tone, wav_bytes
from tests.unit.audio.inprocess.sessions import convert, job, run

_KAZOO = job(AudioFormat.WAV, AudioFormat.MP3, "kazoo")


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(1, 40_000),
    level=st.sampled_from([0.00003, 0.01, 0.3, 4.0]),
    chunk_bytes=st.integers(100, 90_000),
    seed=st.integers(0, 99),
)
def test_it_writes_what_sox_writes(samples: int, level: float, chunk_bytes: int, seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(samples)
    pauses = np.sin(np.arange(samples) / 2000) > 0
    audio = wav_bytes(noise * level * pauses, 8000, 1, 16)

    sox = ["sox", "-t", "wav", "-", "-r", "8000", "-t", "mp3", "-"]
    expected = subprocess.run(sox, input=audio, capture_output=True, check=True).stdout
    assert convert(_KAZOO, audio, chunk_bytes) == expected


def test_levels_are_told_as_they_are_when_it_is_decoded() -> None:
    out, report = run(_KAZOO, tone(5.0, frequency_hertz=1000, level_db=-12))

    assert report.before is not None
    assert report.after is not None
    assert report.before.loudness_lufs == pytest.approx(-12, abs=0.1)
    assert report.after.loudness_lufs == pytest.approx(-12.45, abs=0.1)
    assert measure(out, "mp3").level_db == pytest.approx(-12.45, abs=0.2)


def test_where_it_is_not_installed_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lame, "_NAME", "libnowhere.so.0")
    monkeypatch.setattr(lame, "_library", lame._loaded())
    out, report = run(_KAZOO, tone(1.0))
    assert report.error == "libnowhere.so.0 is not installed"
    assert out == b""


def test_what_it_can_not_do_is_an_error() -> None:
    sink_fd = os.open(os.devnull, os.O_WRONLY)
    with pytest.raises(LameError, match="LAME failed with -1"):
        SystemLameEncoder(sink_fd, 0x7FFFFFFF)
    os.close(sink_fd)
