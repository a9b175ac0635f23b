"""The memory of the service's processes in the course of a run."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import psutil

_MIB = 1 << 20
_PERIOD_S = 1.0
_GROWTH = 0.15
_GROWTH_MIB = 8.0


class Memory:
    """Samples by the kind of a process; of several, the largest counts."""

    def __init__(self, processes: Callable[[], Mapping[str, Sequence[psutil.Process]]]) -> None:
        """Sample what this returns: the running processes of each kind.

        It may raise StopIteration or psutil.Error between the ends and the starts of processes.
        """
        self._processes = processes
        self._samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._began_s = self._ended_s = time.monotonic()

    async def watch(self) -> None:
        """Take samples until it is cancelled."""
        while True:
            await asyncio.to_thread(self._sample)
            await asyncio.sleep(_PERIOD_S)

    def rows(self) -> list[tuple[str, float, float]]:
        """Return kinds with the most MiB in the second and in the last third of the run."""
        third_s = (self._ended_s - self._began_s) / 3
        return [
            (
                kind,
                self._most(kind, self._began_s + third_s, self._ended_s - third_s),
                self._most(kind, self._ended_s - third_s, self._ended_s),
            )
            for kind in sorted(self._samples)
        ]

    def growths(self) -> list[str]:
        """Return a text for each kind that grew from the second third to the last one."""
        return [
            f"{kind} grew from {before:.0f} to {after:.0f} MiB"
            for kind, before, after in self.rows()
            if after > before * (1 + _GROWTH) + _GROWTH_MIB
        ]

    def _sample(self) -> None:
        self._ended_s = time.monotonic()
        with suppress(psutil.Error, StopIteration):  # between two processes
            for kind, processes in self._processes().items():
                most = max((each.memory_info().rss for each in processes), default=0)
                self._samples[kind].append((self._ended_s, most / _MIB))

    def _most(self, kind: str, begin_s: float, end_s: float) -> float:
        within = (mib for at_s, mib in self._samples[kind] if begin_s <= at_s <= end_s)
        return max(within, default=0.0)
