"""The tables and their marks."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from rich.table import Table

from tests.bench.quality.inputs import Source
from tests.bench.quality.measures import Levels, levels, mean_of
from tests.bench.quality.results import Quality

LOUDNESS_LUFS, TOLERANCE_LU = -19.0, 1.0
HIGHEST_DBFS = -1.0
_LEAST_PESQ = 3.9
_MARKED = {"telephony", "loudness"}


def speech_table(qualities: Sequence[Quality], title: str) -> Table:
    """Return the results of the prompts, one line per preset and back end."""
    heads: tuple[str, ...] = ("LUFS", "true peak", "clipped", "3-3.4 kHz", "99 % below")
    heads += ("PESQ", "PESQ-WB", "bytes/s", "CPU ms/s")
    table = Table("preset, back end", *heads, title=title)
    for quality in qualities:
        table.add_row(quality.way.title, *speech_cells(quality))
    return table


def speech_cells(quality: Quality) -> list[str]:
    """Return medians of levels and band, sum of clipped samples, mean (least) of PESQ."""
    if quality.missing is not None:
        return ["not there"]
    speech = quality.speech
    seconds = sum(each.audio.duration_s for each in speech)
    return [
        _shown(mean_of([each.levels.loudness_lufs for each in speech], statistics.median), "+.1f"),
        _shown(mean_of([each.levels.true_peak_dbfs for each in speech], max), "+.1f"),
        str(sum(each.levels.clipped_samples for each in speech)),
        f"{statistics.median(each.band_db for each in speech):+.1f} dB",
        f"{statistics.median(each.bandwidth_hertz for each in speech):.0f} Hz",
        _mean_and_least([each.pesq for each in speech]),
        _mean_and_least(quality.wideband_pesq),
        f"{sum(each.size_bytes for each in speech) / seconds:,.0f}",
        f"{quality.cpu_ms_per_s:.2f}",
    ]


def hostile_table(qualities: Sequence[Quality], hostile: Sequence[Source]) -> Table:
    """Return loudness, true peak and clipped samples of each hostile input."""
    title = "hostile inputs: LUFS / true peak in dBFS / clipped samples, if any"
    table = Table("preset, back end", *(each.name for each in hostile), title=title)
    for quality in qualities:
        if quality.missing is None:
            cells = [level_cell(quality.hostile[each.name]) for each in hostile]
            table.add_row(quality.way.title, *cells)
    table.add_section()
    table.add_row("as uploaded", *(level_cell(levels(each.audio)) for each in hostile))
    return table


def level_cell(result: Levels | str) -> str:
    """Return at most three lines."""
    if isinstance(result, str):
        return result[:40]
    lines = [_shown(result.loudness_lufs, "+.1f"), _shown(result.true_peak_dbfs, "+.1f")]
    return "\n".join([*lines, str(result.clipped_samples)] if result.clipped_samples else lines)


def marks_table(qualities: Sequence[Quality], *, recorded: bool) -> Table:
    """Return the marks of telephony and loudness, and whether they are met.

    One back end is enough: a missing one is not a fault.

    Args:
        qualities: Those of all presets and back ends.
        recorded: Whether people spoke the prompts. PESQ is not made for formant synthesis, so its
            mark does not apply to that.
    """
    table = Table("mark", "measured", "wanted", "", title="marks")
    there = {each.way.preset for each in qualities if each.missing is None}
    for preset in sorted({each.way.preset for each in qualities} & _MARKED - there):
        table.add_row(preset, "not there", "", "below")
    for quality in qualities:
        if quality.way.preset == "telephony" and not recorded:
            continue
        for name, measured, wanted, ok in marks(quality):
            table.add_row(f"{quality.way.title}: {name}", measured, wanted, "ok" if ok else "below")
    return table


def marks(quality: Quality) -> Iterator[tuple[str, str, str, bool]]:
    """Yield name, figure, mark, and whether it is met; nothing for presets without marks."""
    if quality.missing is not None:
        return
    if quality.way.preset == "telephony":
        pesq = mean_of([each.pesq for each in quality.speech], statistics.fmean)
        yield "PESQ", _shown(pesq, ".2f"), f">= {_LEAST_PESQ}", (pesq or 0) >= _LEAST_PESQ
    elif quality.way.preset == "loudness":
        yield from _loudness_marks(quality)


def _loudness_marks(quality: Quality) -> Iterator[tuple[str, str, str, bool]]:
    there = [each for each in quality.hostile.values() if isinstance(each, Levels)]
    failed = len(quality.hostile) - len(there)
    loudness = [each.loudness_lufs for each in there if each.loudness_lufs is not None]
    peaks = [each.true_peak_dbfs for each in there if each.true_peak_dbfs is not None]
    clipped = sum(each.clipped_samples for each in there)
    farthest = max((abs(each - LOUDNESS_LUFS) for each in loudness), default=0.0)
    near = f"{min(loudness, default=0):+.1f} to {max(loudness, default=0):+.1f} LUFS"
    yield "hostile inputs converted", f"{len(there)}", f"{len(quality.hostile)}", not failed
    wanted = f"{LOUDNESS_LUFS:+.0f} ± {TOLERANCE_LU:.0f} LUFS"
    yield "loudness", near, wanted, farthest <= TOLERANCE_LU
    yield "clipped samples", str(clipped), "0", not clipped
    highest = max(peaks, default=-100.0)
    yield (
        "true peak",
        f"{highest:+.2f} dBFS",
        f"<= {HIGHEST_DBFS:+.0f} dBFS",
        highest <= HIGHEST_DBFS,
    )


def _mean_and_least(values: Sequence[float | None]) -> str:
    there = [value for value in values if value is not None]
    return f"{statistics.fmean(there):.2f} ({min(there):.2f})" if there else ""


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
