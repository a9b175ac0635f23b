"""`make soak`: ordinary traffic beside attackers; shows latency and memory, minute by minute."""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.e2e.hostile import World
from tests.soak.attackers import Target, attack
from tests.support.audio_samples import tone
from tests.support.product import Product

_GET_S = 0.02
_UPLOAD_S = 1.0
_P99_S = 0.1
_FLAT = 0.05
_FEWEST = 100
_MIB = 1 << 20


class _Soak:
    """The measurements, by the minute in which they were made."""

    def __init__(self, product: Product, token: str, path: str) -> None:
        self._processes = {
            **{f"worker {index}": each for index, each in product.workers().items()},
            "Envoy": product.envoy(),
        }
        self._headers = {"x-auth-token": token}
        self._url, self._path = product.rest_url, path
        self._began_s = time.monotonic()
        self.latencies_s: dict[int, list[float]] = defaultdict(list)
        self.memory_mib: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.failures: list[str] = []

    async def run(self, seconds: float, progress: Progress) -> None:
        """Measure for so long."""
        task = progress.add_task("soak", total=seconds)
        async with httpx.AsyncClient(base_url=self._url, headers=self._headers) as http:
            working = asyncio.gather(self._get(http), self._upload(http), self._sample())
            while (passed := time.monotonic() - self._began_s) < seconds and not working.done():
                progress.update(task, completed=passed)
                await asyncio.sleep(0.5)
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working

    @property
    def _minute(self) -> int:
        return int((time.monotonic() - self._began_s) // 60)

    async def _get(self, http: httpx.AsyncClient) -> None:
        while True:
            began = time.monotonic()
            await self._ask(http, "GET", self._path)
            self.latencies_s[self._minute].append(time.monotonic() - began)
            await asyncio.sleep(_GET_S)

    async def _upload(self, http: httpx.AsyncClient) -> None:
        audio = tone(1.0)
        while True:
            await self._ask(http, "POST", f"{self._path}/raw", audio)
            await asyncio.sleep(_UPLOAD_S)

    async def _sample(self) -> None:
        while True:
            for name, process in self._processes.items():
                resident = process.memory_info().rss / _MIB
                self.memory_mib[self._minute][name].append(resident)
            await asyncio.sleep(1)

    async def _ask(
        self, http: httpx.AsyncClient, verb: str, path: str, body: bytes | None = None
    ) -> None:
        kind = {"content-type": "audio/wav"} if body else {}
        try:
            answer = await http.request(verb, path, content=body, headers=kind, timeout=30)
        except httpx.HTTPError as error:
            self.failures.append(f"{verb} {path}: {error!r}")
        else:
            if answer.status_code not in {200, 503}:
                self.failures.append(f"{verb} {path}: {answer.status_code}")


def soak(
    minutes: Annotated[float, typer.Option(min=0.2, help="How long.")] = 10,
    workers: Annotated[int, typer.Option(min=1, help="Workers of the product.")] = 2,
    seed: Annotated[int, typer.Option(help="Of what the attackers send.")] = 20261130,
) -> None:
    """Run ordinary traffic beside attackers; the exit code is 1 if a promise did not hold."""
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        Product(Path(folder), workers=str(workers)) as product,
    ):
        target, path = _prepared(product)
        told, telling = multiprocessing.Pipe(duplex=False)
        attacker = multiprocessing.get_context("spawn").Process(
            target=attack, args=(target, seed, telling), daemon=True
        )
        measured = _Soak(product, target.token, path)
        attacker.start()
        with Progress(console=console, transient=True) as progress:
            asyncio.run(measured.run(minutes * 60, progress))
        is_alive = attacker.is_alive()
        attacker.terminate()
        attacks = 0
        while told.poll():
            attacks = told.recv()
        traces = [line for line in product.log_lines() if "exception" in line]
        broken = _shown(console, measured, attacks, traces)
    if broken or not is_alive:
        console.print("The attackers ended early." if not is_alive else "", style="red")
        raise typer.Exit(1)


def _prepared(product: Product) -> tuple[Target, str]:
    with httpx.Client(base_url=product.rest_url) as http:
        key = {"data": {"api_key": product.api_key}}
        token = str(http.put("/v2/api_auth", json=key).json()["auth_token"])
        headers = {"x-auth-token": token}
        paths = []
        for name in ("ordinary", "attacked"):
            made = http.put("/v2/media", json={"data": {"name": name}}, headers=headers)
            paths.append(f"/v2/media/{made.json()['data']['id']}")
        audio = {**headers, "content-type": "audio/wav"}
        for path in paths:
            http.post(f"{path}/raw", content=tone(60.0), headers=audio).raise_for_status()
    ports = [int(each.rpartition(":")[2]) for each in (product.rest_url, product.grpc_target)]
    writes = [("PUT", "/v2/media"), ("POST", f"{paths[1]}/raw"), ("PUT", "/v2/api_auth")]
    world = World([paths[1], "/v2/media"], writes, [token, "", "x"], ["0" * 64])
    addresses = [("127.0.0.1", port) for port in ports]
    return Target(addresses[0], addresses[1], token, f"{paths[1]}/raw", world), paths[0]


def _shown(
    console: Console, measured: _Soak, attacks: int, traces: list[dict[str, object]]
) -> bool:
    """Print the table and what did not hold; return whether anything did not."""
    names = list(measured.memory_mib[0])
    table = Table("minute", "GETs", "p50 ms", "p99 ms", *(f"{name} MiB" for name in names))
    p99s = {}
    for minute, latencies in sorted(measured.latencies_s.items()):
        if len(latencies) < _FEWEST:  # the moment after the last minute
            continue
        p99s[minute] = statistics.quantiles(latencies, n=100)[98]
        memory = [f"{_memory(measured, minute, name):.0f}" for name in names]
        median = statistics.median(latencies)
        cells = (f"{median * 1e3:.1f}", f"{p99s[minute] * 1e3:.1f}", *memory)
        table.add_row(str(minute + 1), str(len(latencies)), *cells)
    console.print(table)
    console.print(f"{attacks} hostile connections.")
    problems = [f"{len(traces)} log lines have a trace: {traces[0]}"] if traces else []
    problems += [f"minute {m + 1}: p99 {p * 1e3:.0f} ms" for m, p in p99s.items() if p > _P99_S]
    problems += measured.failures[:10]
    last = max(p99s, default=0)
    for name in names if last >= 2 else ():
        before, after = _memory(measured, 1, name), _memory(measured, last, name)
        if abs(after / before - 1) > _FLAT:
            problems.append(f"{name}: {before:.0f} MiB in minute 2, {after:.0f} in the last one")
    for problem in problems:
        console.print(problem, style="red", markup=False)
    return bool(problems)


def _memory(measured: _Soak, minute: int, name: str) -> float:
    """Return the median: single bursts are given back."""
    return statistics.median(measured.memory_mib[minute][name] or [0.0])


if __name__ == "__main__":
    typer.run(soak)
