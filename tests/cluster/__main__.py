"""`make cluster`: recorders on three nodes while nodes, database and bucket fail.

At the end every finished recording has the bytes that were sent, every acknowledged byte of the
others is there, nothing is stuck, and rows and objects match; else the exit code is 1.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.cluster.blows import HARMS, destroy
from tests.cluster.cluster import Cluster, running_cluster
from tests.torture.memory import Memory
from tests.torture.run import Run, Tortured, print_tables, traces


def torture_cluster(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long.")] = 3,
    recorders: Annotated[int, typer.Option(min=1, help="Recorders at the same time.")] = 8,
    seed: Annotated[int | None, typer.Option(help="Of all chances.")] = None,
) -> None:
    """Record while parts of a cluster fail; the exit code is 1 if anything is lost."""
    console = Console()
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    console.print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        folder = Path(name)
        with running_cluster(folder) as cluster:
            memory = Memory(cluster.processes)
            run = Run(Tortured(cluster, memory, partial(destroy, cluster)), seed, folder / "spool")
            run.perform(minutes * 60, recorders, console)
            problems = _problems(run, cluster)
    print_tables(console, run, memory, HARMS)
    for problem in problems:
        console.print(problem, style="red", markup=False)
    raise typer.Exit(1 if problems or run.ledger.lost_bytes else 0)


def _problems(run: Run, cluster: Cluster) -> list[str]:
    problems = [*run.ledger.problems, *traces(cluster.log())]
    problems += [f"{node.data_dir} has ended" for node in cluster.nodes if not node.is_running()]
    command = [sys.executable, "-m", "kazoo_media", "fsck", "--digests"]
    ran = subprocess.run(
        command,
        env={**os.environ, **cluster.nodes[0].environment},
        capture_output=True,
        text=True,
        check=False,
    )
    problems += [f"kazoo-media fsck:\n{ran.stdout}{ran.stderr}"] if ran.returncode else []
    return problems


if __name__ == "__main__":
    typer.run(torture_cluster)
