"""The command: `python -m tests.bench.quality`, which `make bench-quality` runs."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from tests.bench.prompts import VARIABLE, real_prompts
from tests.bench.quality.inputs import Inputs, prepare
from tests.bench.quality.measures import package
from tests.bench.quality.plot import write_plot
from tests.bench.quality.report import hostile_table, marks_table, speech_table
from tests.bench.quality.results import Quality, measure, ways
from tests.bench.services import Services

_LARGEST_UPLOAD_BYTES = 64 << 20
_LEAST_WIDTH = 150
_MEASURING = ("pesq",)


def quality(
    prompts: Annotated[
        Path | None,
        typer.Option(envvar=VARIABLE, help="Folder of WAV prompts.", file_okay=False, exists=True),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many prompts.")] = 24,
    only: Annotated[list[str] | None, typer.Option(help="A preset; repeatable.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Where the PNG goes.", show_default="the temporary folder")
    ] = None,
) -> None:
    """Measure the output of every preset and back end for prompts and hostile inputs."""
    console = Console()
    console.width = max(console.width, _LEAST_WIDTH)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quality-")))
        inputs = prepare(folder, real_prompts(prompts), count)
        services = Services(stack, folder, _LARGEST_UPLOAD_BYTES)
        chosen = [way for way in ways() if not only or way.preset in only]
        qualities = [
            measure(services.plain, way, inputs)
            for way in track(chosen, console=console, transient=True)
        ]
    title = f"prompts: medians, the highest peak, PESQ as mean (least); {inputs.whence}"
    console.print(speech_table(qualities, title))
    console.print(hostile_table(qualities, inputs.hostile))
    console.print(marks_table(qualities, recorded=inputs.recorded))
    for each in qualities:
        if each.missing is not None:
            console.print(
                f"Not there: {each.way.title}: {each.missing}", style="yellow", markup=False
            )
    for name in _MEASURING:
        if package(name) is None:
            console.print(f"{name} is not installed: its columns are empty", style="yellow")
    console.print(_drawn(plot, qualities, inputs))


def _drawn(path: Path | None, qualities: list[Quality], inputs: Inputs) -> str:
    if package("matplotlib") is None:
        return "no plot: matplotlib is not installed"
    path = path or Path(tempfile.gettempdir()) / "kazoo-media-quality.png"
    write_plot(path, qualities, inputs.speech, inputs.hostile)
    return f"The plot is in {path}"


if __name__ == "__main__":
    typer.run(quality)
