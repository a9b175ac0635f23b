"""What happens to a cluster: nodes die, the database fails over, the bucket is away."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter

from tests.cluster.cluster import Cluster
from tests.support.product import wait_until

HARMS = (
    "nodes killed",
    "nodes restarted",
    "workers killed",
    "database restarts",
    "database fail-overs",
    "bucket killed",
    "bucket stopped",
)
_PAUSE_S = 6.0
_STOPPED_S = 20.0
_START_S = 90.0


async def destroy(
    cluster: Cluster, counts: Counter[str], chances: random.Random, seconds: float
) -> None:
    """Do harm for so long; everything but the old primary runs afterwards."""
    stores = [_restart_database, _kill_bucket, _stop_bucket, _fail_over]
    began_s = time.monotonic()
    struck = asyncio.ensure_future(_strike_nodes(cluster, counts, chances, seconds))
    for number, strike in enumerate(stores, start=1):
        due_s = began_s + seconds * number / (len(stores) + 1)
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        await strike(cluster, counts)
    await struck


async def _strike_nodes(
    cluster: Cluster, counts: Counter[str], chances: random.Random, seconds: float
) -> None:
    """Kill or restart one node after the other, so that two always run."""
    end_s = time.monotonic() + seconds
    while time.monotonic() + _PAUSE_S < end_s:
        await asyncio.sleep(_PAUSE_S * chances.uniform(0.5, 1.5))
        node = chances.choice(cluster.nodes)
        way = chances.choice(["kill", "kill", "restart", "worker"])
        if way == "worker":
            counts["workers killed"] += 1
            await asyncio.to_thread(node.kill_worker, chances.choice(list(node.workers())))
            continue
        if way == "kill":
            counts["nodes killed"] += 1
            await asyncio.to_thread(node.kill)
        else:
            counts["nodes restarted"] += 1
            await asyncio.to_thread(node.stop, signal.SIGTERM)
        await asyncio.to_thread(node.launch)
        await asyncio.to_thread(wait_until, node.is_ready, "a node is ready again", _START_S)


async def _restart_database(cluster: Cluster, counts: Counter[str]) -> None:
    counts["database restarts"] += 1
    primary = cluster.database[0]
    await asyncio.to_thread(primary.stop, crash=True)
    await asyncio.to_thread(primary.start)


async def _fail_over(cluster: Cluster, counts: Counter[str]) -> None:
    counts["database fail-overs"] += 1
    primary, standby = cluster.database
    await asyncio.to_thread(primary.kill)
    await asyncio.to_thread(standby.promote)


async def _kill_bucket(cluster: Cluster, counts: Counter[str]) -> None:
    counts["bucket killed"] += 1
    await asyncio.to_thread(cluster.bucket.kill)
    cluster.bucket.launch()
    await asyncio.to_thread(cluster.bucket.wait)


async def _stop_bucket(cluster: Cluster, counts: Counter[str]) -> None:
    counts["bucket stopped"] += 1
    cluster.bucket.pause()
    try:
        await asyncio.sleep(_STOPPED_S)
    finally:
        cluster.bucket.resume()
