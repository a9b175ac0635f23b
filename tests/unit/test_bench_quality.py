"""The arithmetic of `make bench-quality`, and of `make bench`'s table."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.progress import Progress

from tests.bench.__main__ import _measure
from tests.bench.http_load import MeasurementError, NotThereError
from tests.bench.peers.commands import gain_effect, normalize_in_two_passes
from tests.bench.presets import command_cpu_s
from tests.bench.quality.inputs import amplified, hostile_samples, prepare
from tests.bench.quality.measures import (
    Audio,
    Levels,
    aligned,
    band_db,
    bandwidth_hertz,
    decoded,
    levels,
)
from tests.bench.quality.report import hostile_table, level_cell, marks, marks_table, speech_cells
from tests.bench.quality.results import Quality, SpeechQuality, Way, ways
from tests.bench.table import Better, Contest, Line, Sample

RATE = 8000


def tone(hertz: float, level: float = 0.5, seconds: float = 1.0, phase: float = 0.0) -> Audio:
    times = np.arange(int(seconds * RATE)) / RATE
    return Audio(level * np.sin(2 * np.pi * hertz * times + phase)[:, np.newaxis], RATE)


def test_the_true_peak_lies_between_the_samples() -> None:
    # A quarter of the rate, an eighth of a turn late: every sample is 3 dB below the crest.
    found = levels(tone(RATE / 4, phase=np.pi / 4))
    assert found.peak_dbfs == pytest.approx(-9.03, abs=0.01)
    assert found.true_peak_dbfs == pytest.approx(-6.02, abs=0.3)


def test_samples_at_full_scale_and_beyond_are_counted_as_clipped() -> None:
    samples = np.array([[0.0, 1.0], [32767 / 32768, -1.0], [0.99, -1.2]])
    assert levels(Audio(samples, RATE)).clipped_samples == 4


def test_silence_has_no_level() -> None:
    assert levels(Audio(np.zeros((RATE, 1)), RATE)) == Levels(None, None, None, 0)


def test_bandwidth_is_where_the_energy_ends() -> None:
    assert bandwidth_hertz(tone(3200)) == pytest.approx(3200, abs=30)
    assert band_db(tone(3200)) == pytest.approx(0, abs=0.01)
    assert band_db(tone(500)) < -60
    both = Audio(tone(500).samples + tone(3200).samples, RATE)
    assert band_db(both) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize("delay", [0, 1, 552, -70])
def test_the_delay_of_a_codec_is_taken_out(delay: int) -> None:
    reference = np.random.default_rng(7).normal(size=4000)
    late = np.concatenate([np.zeros(delay), reference]) if delay >= 0 else reference[-delay:]
    first, second = aligned(reference, late)
    assert len(first) >= 4000 - abs(delay)
    np.testing.assert_array_equal(first, second)


def test_decoded_audio_keeps_its_channels_and_its_rate() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.full((800, 2), 0.25), RATE, "PCM_16", format="WAV")
    audio = decoded(file.getvalue())
    assert audio.samples.shape == (800, 2)
    assert audio.duration_s == pytest.approx(0.1)
    np.testing.assert_allclose(audio.mono, 0.25)


def test_hostile_inputs_are_what_they_are_called() -> None:
    speech = tone(440, 0.3, 3).at(44_100)
    made = hostile_samples(speech)
    assert {len(samples) for samples in made.values()} == {40 * 44_100}
    assert np.abs(made["+12 dB clipped"]).max() == 1
    assert np.count_nonzero(np.abs(made["+12 dB clipped"]) == 1) > 10_000
    assert not made["one leg"][:, 1].any()
    assert np.count_nonzero(made["clicks"] == 1) == 40 * 44
    assert made["DC +0.2"].mean() == pytest.approx(0.2, abs=0.01)
    ends = np.abs(made["half -25 dB"])
    assert 20 * np.log10(ends[:1000].max() / ends[-1000:].max()) == pytest.approx(25, abs=0.5)
    assert set(np.abs(made["square"])) <= {0.0, 1.0}
    assert not made["silence"].any()


def test_amplified_audio_is_clipped_at_full_scale() -> None:
    np.testing.assert_allclose(amplified(np.array([0.1, -0.9]), 20), [1.0, -1.0])


def test_without_prompts_a_speech_engine_speaks(tmp_path: Path) -> None:
    inputs = prepare(tmp_path, None, 24)
    assert "espeak-ng" in inputs.whence
    assert not inputs.recorded
    assert {each.audio.rate_hertz for each in inputs.speech} == {8000}
    assert all(each.audio.duration_s > 1.5 for each in inputs.speech)


def test_prompts_are_taken_evenly_from_a_folder(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for number in range(10):
        length = tone(300, seconds=0.5 if number == 9 else 2).samples
        soundfile.write(prompts / f"{number}.wav", length, RATE, "PCM_16")
    inputs = prepare(tmp_path, prompts, 3)
    assert inputs.recorded
    assert [each.name for each in inputs.speech] == ["0", "3", "6"]


def loudness(backend: str, **hostile: Levels | str) -> list[bool]:
    quality = Quality(Way("loudness", backend), hostile=hostile)
    return [ok for _, _, _, ok in marks(quality)]


def test_loudness_is_held_against_its_marks() -> None:
    good = Levels(-18.1, -1.0, -1.2, 0)
    silent = Levels(None, None, None, 0)
    assert loudness("inprocess", loud=good, silence=silent) == [True] * 4
    assert loudness("inprocess", loud=Levels(-17.9, -1.0, -1.2, 0)) == [True, False, True, True]
    assert loudness("inprocess", loud=Levels(-19, -0.9, -1.2, 3)) == [True, True, False, False]
    assert loudness("inprocess", loud=good, square="it failed") == [False, True, True, True]


def test_a_preset_that_is_not_there_is_a_row_that_says_so() -> None:
    quality = Quality(Way("loudness", "sox"), missing="there is no preset loudness")
    assert speech_cells(quality) == ["not there"]
    assert marks_table([quality], recorded=True).row_count == 1
    other = Quality(Way("loudness", "inprocess"), hostile={"loud": Levels(-19, -1, -1, 0)})
    assert marks_table([quality, other], recorded=True).row_count == 4
    assert hostile_table([quality], []).row_count == 1


def test_pesq_of_synthetic_speech_is_held_against_no_mark() -> None:
    speech = SpeechQuality(tone(300), Levels(-19, -5, -5, 0), 0.0, 2000, 3.4, 4000)
    quality = Quality(Way("telephony", "sox"), speech=[speech])
    assert marks_table([quality], recorded=False).row_count == 0
    assert list(marks(quality)) == [("PESQ", "3.40", ">= 3.9", False)]


def test_every_preset_is_asked_of_every_back_end_but_the_command() -> None:
    titles = [way.title for way in ways()]
    assert titles[:3] == ["kazoo", "telephony, sox", "telephony, inprocess"]
    assert len(titles) == 13


def test_a_cell_shows_clipped_samples_only_if_there_are_any() -> None:
    assert level_cell(Levels(-19.04, -1.26, -2, 0)) == "-19.0\n-1.3"
    assert level_cell(Levels(-5, 1.5, 1, 12)) == "-5.0\n+1.5\n12"
    assert level_cell("it failed") == "it failed"


def test_a_line_compares_medians_in_favour_of_the_product() -> None:
    samples = {"ours": [{"ms": 2.0}, {"ms": 3.0}, {"ms": 9.0}], "sox": [{"ms": 12.0}]}
    line = Line("CPU", "ms", "ms", Better.LESS, 4, peer="sox")
    assert line.cells(samples)[3:] == ["4.00", ">= 4", "ok"]
    added = Line("tail", "ms", "ms", Better.DIFFERENCE, 25, "sox", "ours")
    assert added.cells(samples)[3:] == ["+9 ms", "<= 25 ms", "ok"]


def test_sides_that_are_not_there_leave_a_line_that_says_so() -> None:
    def absent() -> Sample:
        raise NotThereError("there is no preset loudness")

    lines = [Line("A", "s", "s", Better.LESS, 2, "ours", "sox"), Line("B", "s", "s", Better.LESS)]
    sides = {"ours": absent, "sox": lambda: {"s": 1.0}}
    reasons: dict[str, None] = {}
    cells = _measure(Contest("x", sides, lines), 2, Progress(disable=True), reasons)
    assert cells[0] == ["A", "not there yet", "", "", ">= 2", "not there"]
    assert list(reasons) == ["there is no preset loudness"]


def test_a_contest_takes_no_more_rounds_than_it_wants() -> None:
    taken: list[int] = []

    def side() -> Sample:
        taken.append(1)
        return {"s": 1.0}

    contest = Contest("x", {"ours": side}, [], warm_up=False, most_rounds=2)
    _measure(contest, 5, Progress(disable=True), {})
    assert len(taken) == 2


def test_the_gain_of_two_passes_follows_from_what_sox_measured() -> None:
    assert gain_effect("Pk lev dB  -3.00\nRMS lev dB  -23.24\n") == ["gain", "-l", "5.00"]
    assert gain_effect("Pk lev dB  -6.10\nRMS lev dB  -23.24\n") == ["gain", "5.00"]
    with pytest.raises(MeasurementError, match="no level"):
        gain_effect("sox FAIL")


def test_two_passes_of_sox_bring_a_file_to_the_wanted_level(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "quiet.wav", tone(440, 0.02).samples, RATE, "PCM_16")
    normalize_in_two_passes(tmp_path / "quiet.wav", tmp_path / "made.mp3")
    samples = decoded((tmp_path / "made.mp3").read_bytes()).samples[2000:-2000]
    assert 20 * np.log10(np.sqrt((samples**2).mean())) == pytest.approx(-18.24, abs=0.5)


def test_the_cpu_time_of_a_command_is_counted(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"audio")
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    assert command_cpu_s([sys.executable, "-c", burn], source) >= 0.3
    with pytest.raises(MeasurementError, match="no such thing"):
        command_cpu_s([sys.executable, "-c", "raise SystemExit('no such thing')"], source)
