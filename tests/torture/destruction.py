"""What happens to the service: kills, restarts, a full disk."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import time
from collections import Counter
from contextlib import suppress

from tests.support.confined_product import ConfinedProduct, fill
from tests.support.product import Product, wait_until

_WAYS = ("kill", "kill", "restart", "kill", "kill", "crash")
_LONGEST_PAUSE_S = 6.0
_LONGEST_FULL_S = 8.0
FILLS = 2


async def destroy(
    product: Product, counts: Counter[str], chances: random.Random, seconds: float
) -> None:
    """Do harm for so long; the service runs and has space afterwards."""
    began_s = time.monotonic()
    fills = [seconds * number / (FILLS + 1) for number in range(1, FILLS + 1)]
    pause_s = min(_LONGEST_PAUSE_S, seconds / 3)
    for way in itertools.cycle(_WAYS):
        pausing_s = pause_s * chances.uniform(0.5, 1.5)
        if time.monotonic() + pausing_s > began_s + seconds:
            return
        await asyncio.sleep(pausing_s)
        is_due = bool(fills) and time.monotonic() - began_s > fills[0]
        if is_due and isinstance(product, ConfinedProduct):
            fills.pop(0)
            await _full_disk(product, counts, chances, min(_LONGEST_FULL_S, pause_s))
        else:
            await _harm(product, counts, chances, way)


async def _harm(product: Product, counts: Counter[str], chances: random.Random, way: str) -> None:
    if way == "kill":
        counts["workers killed"] += 1
        with suppress(KeyError):  # it is starting
            await asyncio.to_thread(product.kill_worker, chances.randrange(2))
    elif way == "restart":
        counts["restarts"] += 1
        await asyncio.to_thread(product.stop, signal.SIGTERM)
        await asyncio.to_thread(_launch, product)
    else:
        counts["services killed"] += 1
        await asyncio.to_thread(product.kill)
        await asyncio.to_thread(_launch, product)


async def _full_disk(
    product: ConfinedProduct, counts: Counter[str], chances: random.Random, seconds: float
) -> None:
    """Fill the disk, kill a worker on it, and make space again."""
    counts["disk filled"] += 1
    filler = product.data_dir / "filler"
    try:
        await asyncio.to_thread(fill, filler)
        await asyncio.sleep(seconds / 2)
        await _harm(product, counts, chances, "kill")
        await asyncio.sleep(seconds / 2)
    finally:
        await asyncio.to_thread(filler.unlink, missing_ok=True)


def _launch(product: Product) -> None:
    product.launch()
    wait_until(product.is_ready, "ready again")
