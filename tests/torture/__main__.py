"""`make torture`: recorders over a bad network while the service is killed and its disk is full.

At the end every finished recording has the bytes that were sent, every acknowledged byte of the
others is there, nothing is stuck, files and rows match and memory is flat; else the exit code is 1.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console

from tests.support.confined_product import ConfinedProduct, may_mount
from tests.support.product import Product
from tests.torture.destruction import destroy
from tests.torture.memory import Memory
from tests.torture.run import Run, Tortured, print_tables, traces
from tests.torture.verdict import check_files

_MIB_PER_RECORDER_S = 0.6  # pieces and the recording that is made of them
_DRAIN_S = 3  # a request of a stalled connection is waited for in vain
_HARMS = ("workers killed", "services killed", "restarts", "disk filled")
_BROKEN = Path(__file__).with_name("broken")


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
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        folder = Path(name)
        product = _product(folder, int(minutes * 60 * recorders * _MIB_PER_RECORDER_S) + 64)
        if not isinstance(product, ConfinedProduct):
            console.print("The disk is not filled: mounting a small one is not permitted here.")
        if broken:
            product.environment["PYTHONPATH"] = str(_BROKEN)
        with product:
            memory = Memory(_processes(product))
            tortured = Tortured(product, memory, partial(destroy, product))
            run = Run(tortured, seed, folder / "spool")
            run.perform(minutes * 60, recorders, console)
            problems = _problems(run, product, memory.growths() if minutes >= 2 else [])
    print_tables(console, run, memory, _HARMS)
    for problem in problems:
        console.print(problem, style="red", markup=False)
    raise typer.Exit(1 if problems or run.ledger.lost_bytes else 0)


def _product(folder: Path, size_mib: int) -> Product:
    variables = {"workers": "2", "drain_s": str(_DRAIN_S)}
    if may_mount():
        return ConfinedProduct(folder, size_mib, **variables)
    return Product(folder, **variables)


def _processes(product: Product) -> Callable[[], dict[str, list[psutil.Process]]]:
    def processes() -> dict[str, list[psutil.Process]]:
        return {
            "supervisor": [psutil.Process(product.process.pid)],
            "worker": list(product.workers().values()),
            "Envoy": [product.envoy()],
        }

    return processes


def _problems(run: Run, product: Product, growths: list[str]) -> list[str]:
    problems = [*run.ledger.problems, *growths, *traces(product.log())]
    problems += [] if product.is_running() else ["the service has ended"]
    product.stop()
    return problems + check_files(product)


if __name__ == "__main__":
    typer.run(torture)
