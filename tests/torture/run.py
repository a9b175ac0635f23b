"""One run: recorders over bad networks while something destroys; then all is compared."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias
from urllib.parse import urlsplit

from httpx import AsyncClient
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from kazoo_media.client import Client, appending
from tests.support.bad_network import BadNetwork
from tests.torture.http import SILENCE_S, Http
from tests.torture.lanes import Lanes
from tests.torture.ledger import Ledger
from tests.torture.memory import Memory
from tests.torture.puts import PutRecorders
from tests.torture.recorders import Recorders
from tests.torture.tus import TusRecorders
from tests.torture.verdict import judge

_PATIENCE_S = 90.0
_COUNTED = (
    "cut",
    "reset",
    "stall",
    "recorders restarted",
    "left unfinished",
    "take-overs",
    "both recorders stopped",
    "resumes",
    "PUTs without an answer",
)

_MEAN_BYTES = 3_000_000  # that a connection passes before it ends
_MEAN_HTTP_BYTES = 1_500_000

Destroy: TypeAlias = Callable[[Counter[str], random.Random, float], Awaitable[None]]
"""Does harm for so many seconds, counts what it does, and leaves everything running."""


class Target(Protocol):
    """What is tortured."""

    @property
    def rest_url(self) -> str:
        """Return the REST address."""

    @property
    def grpc_target(self) -> str:
        """Return host:port of the gRPC surface."""

    @property
    def account_id(self) -> str:
        """Return the account that records."""

    @property
    def api_key(self) -> str:
        """Return its API key."""


class _Networks(NamedTuple):
    """The bad ones before the ports of the service."""

    grpc: BadNetwork
    http: BadNetwork


class Tortured(NamedTuple):
    """What is tortured, and how."""

    target: Target
    memory: Memory
    destroy: Destroy


class Run:
    """One run.

    Attributes:
        ledger: What was sent and what came of it.
        compared_bytes: The size of all recordings that were compared.
    """

    def __init__(self, tortured: Tortured, seed: int, spool: Path) -> None:
        self.ledger = Ledger()
        self.compared_bytes = 0
        self._target, self._memory, self._destroy = tortured
        self._seed = seed
        self._spool = spool

    def perform(self, seconds: float, lane_count: int, console: Console) -> None:
        """Record and destroy for so long, then wait for the recorders and compare. Blocks."""
        appending._SILENCE_S = 5.0  # stalls are frequent here
        http_target = urlsplit(self._target.rest_url).netloc
        with (
            BadNetwork(self._target.grpc_target, self._seed, _MEAN_BYTES) as grpc,
            BadNetwork(http_target, self._seed, _MEAN_HTTP_BYTES) as http,
            Progress(console=console, transient=True) as progress,
            self.ledger.watching(),
        ):
            asyncio.run(self._run(seconds, lane_count, progress, _Networks(grpc, http)))
        self.ledger.counts += grpc.ends + http.ends

    async def _run(
        self, seconds: float, lane_count: int, progress: Progress, networks: _Networks
    ) -> None:
        account_id, api_key = self._target.account_id, self._target.api_key
        async with (
            Client(self._target.grpc_target, api_key=api_key) as service,
            self._lanes(service, networks) as lanes,
        ):
            end_s = time.monotonic() + seconds
            loop = asyncio.get_running_loop()
            watching = [
                loop.create_task(self._memory.watch()),
                loop.create_task(self._show(progress, seconds)),
            ]
            running = [
                loop.create_task(lanes.run(number, self._seed, end_s))
                for number in range(lane_count)
            ]
            chances = random.Random(self._seed)
            await self._destroy(self.ledger.counts, chances, seconds)
            for network in networks:
                network.calm()
            await self._end(running, lanes, end_s)
            for task in watching:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*watching)
            task_id = progress.add_task("comparing", total=self.ledger.recording_count)
            self.compared_bytes = await judge(
                service, account_id, self.ledger, lambda: progress.advance(task_id)
            )

    @asynccontextmanager
    async def _lanes(self, service: Client, networks: _Networks) -> AsyncIterator[Lanes]:
        """Give lanes that send over the bad networks, half of them over gRPC."""
        account_id, api_key = self._target.account_id, self._target.api_key
        url = f"http://{networks.http.target}"
        token = {"x-auth-token": await service.token()}
        async with (
            Client(networks.grpc.target, api_key=api_key) as network,
            AsyncClient(base_url=url, timeout=SILENCE_S, headers=token) as logged_in,
            AsyncClient(base_url=url, timeout=SILENCE_S, auth=(account_id, api_key)) as with_key,
        ):
            recorders = Recorders(network, service, account_id, self.ledger, self._spool)
            tus = TusRecorders(Http(logged_in, account_id), self.ledger)
            puts = PutRecorders(Http(with_key, account_id), self.ledger)
            yield Lanes((recorders, tus, recorders, puts), self.ledger)

    async def _end(self, running: list[asyncio.Task[None]], lanes: Lanes, end_s: float) -> None:
        """Return when all recorders have finished; those that do not are stuck."""
        timeout_s = max(0.0, end_s - time.monotonic()) + _PATIENCE_S
        ended, stuck = await asyncio.wait(running, timeout=timeout_s)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        if stuck:
            text = f"stuck: {', '.join(sorted(lanes.busy_with.values()))}"
            self.ledger.problems.append(text)
        for task in ended:
            task.result()

    async def _show(self, progress: Progress, seconds: float) -> None:
        task_id = progress.add_task("recording", total=seconds)
        began_s = time.monotonic()
        while True:
            ledger = self.ledger
            finished, kills = sum(ledger.finished_counts()), ledger.counts["workers killed"]
            text = (
                f"recording: {finished} finished, {ledger.counts['resumes']} resumes,"
                f" {kills} kills, lost {ledger.lost_bytes}"
            )
            progress.update(task_id, description=text, completed=time.monotonic() - began_s)
            await asyncio.sleep(0.5)


def traces(log: str) -> list[str]:
    """Return a problem if a log has traces of exceptions."""
    found = [line for line in log.splitlines() if '"exception"' in line]
    return [f"{len(found)} log lines have a trace: {found[0]}"] if found else []


def print_tables(console: Console, run: Run, memory: Memory, harms: Sequence[str]) -> None:
    """Print what was done, what came of it, and the memory of the processes.

    Args:
        harms: The names of what was counted as destruction.
    """
    ledger = run.ledger
    table = Table("what", "count")
    for name in (*harms, *_COUNTED):
        table.add_row(name, f"{ledger.counts[name]:,}")
    finished = " / ".join(f"{count:,}" for count in ledger.finished_counts())
    table.add_row("recordings: grpc / tus / put", finished)
    table.add_row("masked ranges", f"{sum(call.masked for call, _ in ledger.finished):,}")
    table.add_row("bytes compared", f"{run.compared_bytes:,}")
    table.add_row("bytes lost", f"{ledger.lost_bytes:,}")
    console.print(table)
    table = Table("process", "MiB in the second third", "in the last third")
    for kind, before, after in memory.rows():
        table.add_row(kind, f"{before:.0f}", f"{after:.0f}")
    console.print(table)
