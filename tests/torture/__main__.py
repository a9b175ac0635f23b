"""`make torture`: recorders over a bad network while the service is killed and its disk is full.

At the end every finished recording has the bytes that were sent, every acknowledged byte of the
others is there, nothing is stuck, files and rows match and memory is flat; else the exit code is 1.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

import typer
from httpx import AsyncClient
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from kazoo_media.client import Client, appending
from tests.support.bad_network import BadNetwork
from tests.support.confined_product import ConfinedProduct, may_mount
from tests.support.product import Product
from tests.torture.destruction import destroy
from tests.torture.http import SILENCE_S, Http
from tests.torture.lanes import Lanes
from tests.torture.ledger import Ledger
from tests.torture.memory import Memory
from tests.torture.puts import PutRecorders
from tests.torture.recorders import Recorders
from tests.torture.tus import TusRecorders
from tests.torture.verdict import check_files, judge

_MEAN_BYTES = 3_000_000  # that a connection passes before it ends
_MEAN_HTTP_BYTES = 1_500_000
_MIB_PER_RECORDER_S = 0.6  # pieces and the recording that is made of them
_PATIENCE_S = 90.0
_DRAIN_S = 3  # a request of a stalled connection is waited for in vain
_COUNTED = (
    "cut",
    "reset",
    "stall",
    "workers killed",
    "services killed",
    "restarts",
    "disk filled",
    "recorders restarted",
    "left unfinished",
    "take-overs",
    "both recorders stopped",
    "resumes",
    "PUTs without an answer",
)
_BROKEN = Path(__file__).with_name("broken")


class _Networks(NamedTuple):
    """The bad ones before the ports of the product."""

    grpc: BadNetwork
    http: BadNetwork


class _Torture:
    """One run.

    Attributes:
        compared_bytes: The size of all recordings that were compared.
        memory: Of the product.
    """

    def __init__(self, product: Product, networks: _Networks, seed: int) -> None:
        self.ledger = Ledger()
        self.memory = Memory(product)
        self.compared_bytes = 0
        self._product = product
        self._networks = networks
        self._seed = seed

    async def run(self, seconds: float, lane_count: int, spool: Path, progress: Progress) -> None:
        """Record for so long, then wait for the recorders and compare."""
        account_id, api_key = self._product.account_id, self._product.api_key
        async with (
            Client(self._product.grpc_target, api_key=api_key) as service,
            self._lanes(service, spool) as lanes,
        ):
            end_s = time.monotonic() + seconds
            loop = asyncio.get_running_loop()
            watching = [
                loop.create_task(self.memory.watch()),
                loop.create_task(self._show(progress, seconds)),
            ]
            running = [
                loop.create_task(lanes.run(number, self._seed, end_s))
                for number in range(lane_count)
            ]
            chances = random.Random(self._seed)
            await destroy(self._product, self.ledger.counts, chances, seconds)
            for network in self._networks:
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
    async def _lanes(self, service: Client, spool: Path) -> AsyncIterator[Lanes]:
        """Give lanes that send over the bad networks, half of them over gRPC."""
        account_id, api_key = self._product.account_id, self._product.api_key
        url = f"http://{self._networks.http.target}"
        token = {"x-auth-token": await service.token()}
        async with (
            Client(self._networks.grpc.target, api_key=api_key) as network,
            AsyncClient(base_url=url, timeout=SILENCE_S, headers=token) as logged_in,
            AsyncClient(base_url=url, timeout=SILENCE_S, auth=(account_id, api_key)) as with_key,
        ):
            recorders = Recorders(network, service, account_id, self.ledger, spool)
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


def torture(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long.")] = 3,
    recorders: Annotated[int, typer.Option(min=1, help="Recorders at the same time.")] = 20,
    seed: Annotated[int | None, typer.Option(help="Of all chances.")] = None,
    *,
    broken: Annotated[
        bool, typer.Option("--broken", help="With workers that acknowledge too early.")
    ] = False,
) -> None:
    """Record while network, service and disk fail; the exit code is 1 if anything is lost."""
    console = Console()
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    console.print(f"seed {seed}")
    appending._SILENCE_S = 5.0  # stalls are frequent here
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        folder = Path(name)
        product = _product(folder, int(minutes * 60 * recorders * _MIB_PER_RECORDER_S) + 64)
        if not isinstance(product, ConfinedProduct):
            console.print("The disk is not filled: mounting a small one is not permitted here.")
        if broken:
            product.environment["PYTHONPATH"] = str(_BROKEN)
        with product:
            with (
                BadNetwork(product.grpc_target, seed, _MEAN_BYTES) as grpc,
                BadNetwork(urlsplit(product.rest_url).netloc, seed, _MEAN_HTTP_BYTES) as http,
                Progress(console=console, transient=True) as progress,
            ):
                run = _Torture(product, _Networks(grpc, http), seed)
                with run.ledger.watching():
                    asyncio.run(run.run(minutes * 60, recorders, folder / "spool", progress))
                run.ledger.counts += grpc.ends + http.ends
            problems = _problems(run, product, is_long=minutes >= 2)
    _print(console, run)
    for problem in problems:
        console.print(problem, style="red", markup=False)
    raise typer.Exit(1 if problems or run.ledger.lost_bytes else 0)


def _product(folder: Path, size_mib: int) -> Product:
    variables = {"workers": "2", "drain_s": str(_DRAIN_S)}
    if may_mount():
        return ConfinedProduct(folder, size_mib, **variables)
    return Product(folder, **variables)


def _problems(run: _Torture, product: Product, *, is_long: bool) -> list[str]:
    problems = [*run.ledger.problems]
    problems += run.memory.growths() if is_long else []
    problems += [] if product.is_running() else ["the service has ended"]
    traces = [line for line in product.log().splitlines() if '"exception"' in line]
    problems += [f"{len(traces)} log lines have a trace: {traces[0]}"] if traces else []
    product.stop()
    return problems + check_files(product)


def _print(console: Console, run: _Torture) -> None:
    ledger = run.ledger
    table = Table("what", "count")
    for name in _COUNTED:
        table.add_row(name, f"{ledger.counts[name]:,}")
    finished = " / ".join(f"{count:,}" for count in ledger.finished_counts())
    table.add_row("recordings: grpc / tus / put", finished)
    table.add_row("masked ranges", f"{sum(call.masked for call, _ in ledger.finished):,}")
    table.add_row("bytes compared", f"{run.compared_bytes:,}")
    table.add_row("bytes lost", f"{ledger.lost_bytes:,}")
    console.print(table)
    table = Table("process", "MiB in the second third", "in the last third")
    for kind, before, after in run.memory.rows():
        table.add_row(kind, f"{before:.0f}", f"{after:.0f}")
    console.print(table)


if __name__ == "__main__":
    typer.run(torture)
