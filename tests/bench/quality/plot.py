"""One picture of all measures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.presets import COMMAND
from tests.bench.quality.inputs import Source
from tests.bench.quality.measures import Audio, Levels, levels, mean_of, spectrum
from tests.bench.quality.report import LOUDNESS_LUFS
from tests.bench.quality.results import Quality

_COLOURS = {"sox": "#4477aa", "inprocess": "#ee7733"}
_COMMAND_COLOUR = "#777777"
_LOUDEST_LUFS = -5.0
_DARK_LU = 10
"""Distance from the middle beyond which colours are dark."""


def write_plot(
    path: Path, qualities: Sequence[Quality], speech: Sequence[Source], hostile: Sequence[Source]
) -> None:
    """Write a PNG: loudness of hostile inputs, PESQ, spectra, CPU."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    there = [each for each in qualities if each.missing is None]
    figure = pyplot.figure(figsize=(17, 13), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=[1.15, 1])
    _hostile(figure.add_subplot(grid[0, :]), there, hostile)
    _bars(figure.add_subplot(grid[1, 0]), there)
    _spectra(figure.add_subplot(grid[1, 1]), there, speech)
    _cpu(figure.add_subplot(grid[1, 2]), there)
    figure.suptitle("What the presets do to prompts and to hostile inputs", fontsize=15)
    missing = "; ".join(each.way.title for each in qualities if each.missing is not None)
    if missing:
        figure.supxlabel(f"not there: {missing}", fontsize=9, color="firebrick")
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _hostile(axes: Any, qualities: Sequence[Quality], hostile: Sequence[Source]) -> None:
    rows: list[tuple[str, Sequence[Levels | str]]] = [
        ("as uploaded", [levels(each.audio) for each in hostile])
    ]
    rows += [(each.way.title, [each.hostile[s.name] for s in hostile]) for each in qualities]
    values = np.array([[_lufs(cell) for cell in cells] for _, cells in rows])
    image = axes.imshow(
        values,
        aspect="auto",
        cmap="RdYlBu_r",
        vmin=2 * LOUDNESS_LUFS - _LOUDEST_LUFS,
        vmax=_LOUDEST_LUFS,
    )
    for row, (_, cells) in enumerate(rows):
        for column, cell in enumerate(cells):
            text, weight = _cell(cell)
            far = abs(_lufs(cell) - LOUDNESS_LUFS) > _DARK_LU
            colour = "white" if far else "black"
            place = {"ha": "center", "va": "center"}
            axes.text(column, row, text, fontsize=9, weight=weight, color=colour, **place)
    axes.set_xticks(range(len(hostile)), [each.name for each in hostile])
    axes.set_yticks(range(len(rows)), [title for title, _ in rows])
    axes.xaxis.tick_top()
    axes.set_title(
        "Hostile inputs: loudness in LUFS | true peak in dBFS; bold: clipped samples", pad=12
    )
    axes.axhline(0.5, color="black", linewidth=2)
    axes.figure.colorbar(image, ax=axes, label="LUFS", pad=0.01)


def _cell(cell: Levels | str) -> tuple[str, str]:
    if isinstance(cell, str):
        return "failed", "bold"
    if cell.true_peak_dbfs is None:
        return "silent", "normal"
    loudness = "-" if cell.loudness_lufs is None else f"{cell.loudness_lufs:.1f}"
    text = f"{loudness} | {cell.true_peak_dbfs:.1f}"
    if cell.clipped_samples:
        return f"{text}\n{cell.clipped_samples} clipped", "bold"
    return text, "normal"


def _lufs(cell: Levels | str) -> float:
    if isinstance(cell, str) or cell.loudness_lufs is None:
        return float("nan")
    return cell.loudness_lufs


def _bars(axes: Any, qualities: Sequence[Quality]) -> None:
    values = [mean_of([s.pesq for s in each.speech], statistics.fmean) or 0.0 for each in qualities]
    _horizontal(axes, qualities, values, "{:.2f}")
    axes.set_xlim(1, 5)
    axes.set_title("PESQ (MOS-LQO, narrowband, mean)")


def _cpu(axes: Any, qualities: Sequence[Quality]) -> None:
    _horizontal(axes, qualities, [each.cpu_ms_per_s for each in qualities], "{:.2f}")
    axes.margins(x=0.15)
    axes.set_title("CPU of the converter, ms per second of audio")


def _horizontal(axes: Any, qualities: Sequence[Quality], values: list[float], form: str) -> None:
    colours = [
        _COMMAND_COLOUR if each.way.preset == COMMAND else _COLOURS[each.way.backend]
        for each in qualities
    ]
    bars = axes.barh(range(len(values)), values, color=colours)
    axes.bar_label(bars, [form.format(value) for value in values], padding=3)
    axes.set_yticks(range(len(values)), [each.way.title for each in qualities])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)


def _spectra(axes: Any, qualities: Sequence[Quality], speech: Sequence[Source]) -> None:
    axes.plot(
        *_mean_spectrum([each.audio for each in speech]),
        color="black",
        linewidth=2.5,
        label="original",
    )
    for each in qualities:
        style = "--" if each.way.backend == "inprocess" else "-"
        audio = [prompt.audio for prompt in each.speech]
        axes.plot(*_mean_spectrum(audio), style, linewidth=1.2, label=each.way.title)
    axes.set_xlim(0, 4000)
    axes.set_ylim(-55, 2)
    axes.set_xlabel("Hz")
    axes.set_ylabel("dB, highest is 0")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=2, loc="lower left")
    axes.set_title("Mean spectrum of the prompts")


def _mean_spectrum(audio: Sequence[Audio]) -> tuple[Any, Any]:
    """Return frequencies and decibels, on a grid of 100 Hz."""
    total = sum(_coarse(*spectrum(each)) for each in audio)
    frequencies = np.arange(0, 4000, 100) + 50
    return frequencies, 10 * np.log10(np.maximum(total / np.max(total), 1e-9))


def _coarse(frequencies: Any, power: Any) -> Any:
    sums = np.histogram(frequencies, bins=np.arange(0, 4001, 100), weights=power)[0]
    return sums / max(sums.sum(), 1e-30)
