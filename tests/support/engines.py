"""Engines for tests that bring their own services."""

from __future__ import annotations

from kazoo_media.transport.budget import Budget
from kazoo_media.transport.context import Context
from kazoo_media.transport.http1.server import WorkerServer


def ample_budget() -> Budget:
    """Return a budget that no test spends by accident."""
    return Budget(256 << 20)


async def anybody(context: Context) -> None:
    """Recognize every caller."""
    del context


def worker_server() -> WorkerServer:
    """Return the worker's server for callers who are all known."""
    return WorkerServer(ample_budget(), anybody)
