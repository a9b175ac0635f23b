"""Contests and the lines of their table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

Sample = Mapping[str, float]
Samples = Mapping[str, Sequence[Sample]]
"""The results of each side, round by round."""


class Better(Enum):
    """How a line compares; a ratio over 1 is always in favour of the product."""

    MORE = "ours / peer"
    LESS = "peer / ours"
    DIFFERENCE = "ours - peer"
    AT_MOST = "ours"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table.

    Attributes:
        metric: The value of a sample that it shows.
        unit: Unit of the value.
        ours, peer: Names of the sides; the line says if one is missing.
        mark: Minimum ratio, maximum difference, or with AT_MOST the maximum of ours; None: no mark.
    """

    title: str
    metric: str
    unit: str
    better: Better
    mark: float | None = None
    ours: str = "ours"
    peer: str = "starlette"

    def cells(self, samples: Samples) -> list[str]:
        """Return row, ours, peer, ratio, mark and verdict."""
        if self.ours not in samples:
            return [self.title, "not there yet", "", "", self._mark(), "not there"]
        ours = [sample[self.metric] for sample in samples[self.ours]]
        if self.peer not in samples:
            return [self.title, self._series(ours), "not installed", "", "", ""]
        peer = [sample[self.metric] for sample in samples[self.peer]]
        result, ok = self._result(statistics.median(ours), statistics.median(peer))
        shown = (
            f"{result:+.0f} {self.unit}" if self.better is Better.DIFFERENCE else f"{result:.2f}"
        )
        verdict = "" if self.mark is None else "ok" if ok else "below"
        return [self.title, self._series(ours), self._series(peer), shown, self._mark(), verdict]

    def _result(self, ours: float, peer: float) -> tuple[float, bool]:
        mark = self.mark or 0
        match self.better:
            case Better.MORE:
                return ours / peer, ours / peer >= mark
            case Better.LESS:
                return peer / ours, peer / ours >= mark
            case Better.DIFFERENCE:
                return ours - peer, ours - peer <= mark
            case Better.AT_MOST:
                return peer / ours, ours <= mark

    def _mark(self) -> str:
        if self.mark is None:
            return ""
        if self.better in {Better.DIFFERENCE, Better.AT_MOST}:
            return f"<= {self.mark:.0f} {self.unit}"
        return f">= {self.mark:g}"

    def _series(self, values: Sequence[float]) -> str:
        """Return median and range."""
        median = f"{_number(statistics.median(values))} {self.unit}"
        if len(values) == 1:
            return median
        return f"{median} ({_number(min(values))}-{_number(max(values))})"


@dataclass(frozen=True, slots=True)
class Contest:
    """Sides that do the same work in turn, round by round.

    Attributes:
        name: Name for `--only`.
        sides: Functions that measure each side once, in the order of a round.
        warm_up: Whether the first round does not count.
        most_rounds: Maximum number of rounds, if a round is long or one is sufficient.
    """

    name: str
    sides: Mapping[str, Callable[[], Sample]]
    lines: Sequence[Line]
    warm_up: bool = True
    most_rounds: int | None = None


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"
