"""The command `python -m tests.bench.recordings`, which `make bench-recordings` runs."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench.audio import WAV_HEADER_BYTES, write_music
from tests.bench.get_load import gets
from tests.bench.http_load import create_media, upload
from tests.bench.recordings.finish import copy_s, finish_s
from tests.bench.recordings.running import measured, recording
from tests.bench.services import Running, Services

_COUNTS = (200, 500, 1000, 1500, 2000, 2500, 3000, 4000, 5000)
_LATE_S = 3.0
_BESIDE = 200
_GET_S = 5
_PROMPT_BYTES = 48_000
_FINISHED_BYTES = 128 * 1024 * 1024  # two hours and twenty minutes
_ROUNDS = 3


def bench(
    seconds: Annotated[int, typer.Option(min=5, help="How long each number runs.")] = 15,
    most: Annotated[int, typer.Option(min=200, help="Largest number of recordings.")] = 5000,
) -> None:
    """Measure recordings: how many at once, what runs beside them, how long a finish takes."""
    console = Console()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        services = Services(stack, folder, _FINISHED_BYTES)
        progress = stack.enter_context(Progress(console=console, transient=True))
        console.print(_by_number(services.plain, seconds, most, progress))
        console.print(_beside(services.plain, folder, progress))
        console.print(_finish(services, folder, progress))


def _by_number(service: Running, seconds: float, most: int, progress: Progress) -> Table:
    title = "recordings of 64 kbit/s at once, through Envoy"
    columns = ("recordings", "byte to ack, median", "p99", "worker", "Envoy", "memory of both")
    table = Table(*columns, title=title)
    task = progress.add_task(title, total=None)
    for count in (each for each in _COUNTS if each <= most):
        progress.update(task, description=f"{count:,} recordings")
        cost = measured(service, count, seconds)
        table.add_row(
            f"{count:,}",
            f"{cost.median_s:.2f} s",
            f"{cost.p99_s:.2f} s",
            f"{cost.worker_cores:.2f} cores",
            f"{cost.envoy_cores:.2f} cores",
            f"{cost.memory_mb:.0f} MB",
        )
        if cost.p99_s > _LATE_S:
            break
    progress.remove_task(task)
    return table


def _beside(service: Running, folder: Path, progress: Progress) -> Table:
    endpoint = service.endpoint
    document = f"{endpoint.media_path}/{create_media(endpoint)}"
    prompt = folder / "prompt.wav"
    write_music(prompt, _PROMPT_BYTES)
    upload(endpoint, "POST", f"{document}/raw", prompt)
    title = f"beside {_BESIDE} recordings"
    table = Table("", "idle", "beside them", "ratio", "mark", title=title)
    asked = [("GET metadata", document, "application/json")]
    asked.append(("GET a prompt", f"{document}/raw", "audio/x-wav"))
    for name, path, accept in asked:
        idle: list[float] = []
        beside: list[float] = []
        for _ in progress.track(range(_ROUNDS), description=f"{title}: {name}"):
            idle.append(gets(endpoint, path, _GET_S, accept).per_second)
            with recording(service, _BESIDE, 2 * _GET_S) as load:
                beside.append(gets(endpoint, path, _GET_S, accept).per_second)
                load.result()
        before, after = statistics.median(idle), statistics.median(beside)
        table.add_row(name, f"{before:,.0f} /s", f"{after:,.0f} /s", f"{after / before:.2f}", "0.7")
    return table


def _finish(services: Services, folder: Path, progress: Progress) -> Table:
    audio, copy = folder / "audio.raw", folder / "copy.raw"
    write_music(audio, _FINISHED_BYTES)
    audio.write_bytes(audio.read_bytes()[WAV_HEADER_BYTES:])
    sides: dict[str, Callable[[], float]] = {
        "finish": lambda: finish_s(services.plain, audio, normalizes=False),
        "finish, normalized afterwards": lambda: finish_s(
            services.normalizing, audio, normalizes=True
        ),
        "durable copy": lambda: copy_s(audio, copy),
    }
    title = f"from finish to answer, {_FINISHED_BYTES >> 20} MB"
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in progress.track(range(_ROUNDS), description=title):
        for name, side in sides.items():
            times[name].append(side())
    table = Table("", "seconds", "of a copy", "mark", title=title)
    one = statistics.median(times["durable copy"])
    for name, each in times.items():
        found = statistics.median(each)
        table.add_row(name, f"{found:.2f}", f"{found / one:.2f}", "1.5")
    return table


if __name__ == "__main__":
    typer.run(bench)
