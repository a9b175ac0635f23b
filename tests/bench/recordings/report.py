"""What a load of recordings prints, and how the benchmark reads it."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Callable

MESSAGE_BYTES = 2000
PERIOD_S = 0.25
BYTES_A_SECOND = round(MESSAGE_BYTES / PERIOD_S)
"""Of one recording: 64 kbit/s."""

SETTLE_S = 3.0
"""From the first byte until the measurement begins: everything runs evenly then."""


async def report(
    seconds: float, take_waits: Callable[[], list[float]], failures: Callable[[], list[str]]
) -> None:
    """Print "running" after a while, and what was measured after the seconds.

    Args:
        seconds: The length of the measurement.
        take_waits: Returns the times from byte to acknowledgement since it was last called.
        failures: Returns what went wrong.
    """
    await asyncio.sleep(SETTLE_S)
    take_waits()
    print("running", flush=True)
    await asyncio.sleep(seconds)
    waits_s = sorted(take_waits())
    median, p99 = 0.0, 0.0
    if len(waits_s) > 1:
        quantiles = statistics.quantiles(waits_s, n=100)
        median, p99 = quantiles[49], quantiles[98]
    found = {"median_s": median, "p99_s": p99, "count": len(waits_s), "failures": failures()[:3]}
    print(json.dumps(found), flush=True)
