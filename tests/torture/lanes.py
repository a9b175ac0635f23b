"""Recorders that send one recording after the other."""

from __future__ import annotations

import random
import time
from typing import Protocol

from kazoo_media.client import RecordingRefusedError
from tests.torture.ledger import Ledger

TICK_S = 0.1
TICK_BYTES = 16_000  # 20 times real time
_LEAST_TICKS = 10
_MOST_TICKS = 100


class RefusedError(Exception):
    """The service refused what it had to take."""


class Way(Protocol):
    """A way to send recordings.

    Attributes:
        fates: What may happen to a recording; all happen equally often.
    """

    fates: tuple[str, ...]

    async def record(self, name: str, fate: str, ticks: int) -> None:
        """Send a recording that lasts for so many ticks, and note in the ledger what came of it."""


class Lanes:
    """All recorders of a run.

    Attributes:
        busy_with: The recording of each lane that is not at its end.
    """

    def __init__(self, ways: tuple[Way, ...], ledger: Ledger) -> None:
        """Share the lanes among these ways, in turn."""
        self._ways = ways
        self._ledger = ledger
        self.busy_with: dict[int, str] = {}

    async def run(self, number: int, seed: int, end_s: float) -> None:
        """Record in one lane until a time of the monotonic clock."""
        chances = random.Random(f"{seed}-{number}")
        way = self._ways[number % len(self._ways)]
        fates = [*way.fates]
        chances.shuffle(fates)
        turn = 0
        while (left_s := end_s - time.monotonic()) > 0:
            fate = fates[turn % len(fates)]
            most = min(_MOST_TICKS, _LEAST_TICKS + int(left_s / TICK_S))
            name = f"call-{seed}-{number}-{turn}"
            self.busy_with[number] = f"{name} ({fate})"
            try:
                await way.record(name, fate, chances.randint(_LEAST_TICKS, most))
            except (RecordingRefusedError, RefusedError, OSError) as error:
                self._ledger.problems.append(f"{name}, {fate}: {error}")
            turn += 1
        self.busy_with.pop(number, None)
