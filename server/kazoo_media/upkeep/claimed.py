"""Work that one of several nodes does at a time.

Theory of operation:

1. A process asks for the claim again and again. Who has it runs the work and extends the claim well
   before it ends; everything else about the work is as if there were one node.
2. If the claim cannot be extended in time, the work is cancelled before anybody else may have it:
   the time is counted from before the last extension, and the database's from within it.
3. A process that stops gives the claim up. One that is killed or cut off loses it by its time.
4. All such work can be repeated: a process that was frozen in the middle of a step, and goes on
   when another one has the claim, finishes that step a second time and does no harm.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from kazoo_media.errors import MediaError
from kazoo_media.metadata.cluster_store import ClusterStore

_LEASE_S = 30.0
_RELEASE_S = 2.0

_log = structlog.get_logger()


class Claimed:
    """Runs work while this process has a claim."""

    def __init__(self, store: ClusterStore, name: str, lease_s: float = _LEASE_S) -> None:
        """Compete for the claim of this name with other processes on the same database."""
        self._store = store
        self._name = name
        self._lease_s = lease_s
        self._holder = secrets.token_hex(16)

    async def run(self, works: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """Run all works, which do not end, whenever this process has the claim; until cancelled.

        Raises:
            Exception: what a work raises.
        """
        try:
            while True:
                until_s = None
                with suppress(MediaError):
                    until_s = await self._extended()
                if until_s is not None:
                    _log.info("claim taken", claim=self._name)
                    await self._work(works, until_s)
                    _log.warning("claim lost", claim=self._name)
                await asyncio.sleep(self._lease_s / 3)
        finally:
            with suppress(MediaError, TimeoutError):
                async with asyncio.timeout(_RELEASE_S):
                    await self._store.release_claim(self._name, self._holder)

    async def _work(self, works: Sequence[Callable[[], Awaitable[None]]], until_s: float) -> None:
        """Work until the claim is lost."""
        loop = asyncio.get_running_loop()
        tasks = [asyncio.ensure_future(each()) for each in works]
        try:
            while loop.time() < until_s:
                pause_s = min(self._lease_s / 3, until_s - loop.time())
                ended, _ = await asyncio.wait(
                    tasks, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED
                )
                for task in ended:
                    task.result()
                with suppress(MediaError, TimeoutError):
                    async with asyncio.timeout_at(until_s):
                        extended_s = await self._extended()
                    if extended_s is None:
                        return
                    until_s = extended_s
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _extended(self) -> float | None:
        """Return until which time of the loop this process has the claim; None: it has not."""
        asked_s = asyncio.get_running_loop().time()
        lease_ms = round(self._lease_s * 1000)
        if await self._store.claim(self._name, self._holder, lease_ms):
            return asked_s + self._lease_s
        return None
