"""Output of commands: tables and JSON on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.progress import ProgressColumn

    from kazoo_media.client import Progress as Report

# rich and json_format are imported where they are used: they take a tenth of a command's start.
# Not every command needs the client.

_PIPE_COLUMNS = 240  # other programs read whole lines: do not fold at the width of a terminal


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; columns of numbers are right-aligned."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    kept = [list(row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        numeric = bool(kept) and all(isinstance(row[index], int | float) for row in kept)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in kept:
        table.add_row(*(_text(cell) for cell in row))
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    Console(width=width, markup=False, highlight=False, emoji=False).print(table)


def print_json(value: object) -> None:
    """Print a value as JSON, for scripts."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def as_json(message: Message, *, with_defaults: bool = False) -> Any:  # noqa: ANN401 - JSON
    """Return a message for `print_json`, with the field names of the proto files."""
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415

    return MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=with_defaults,
    )


def fail(message: str) -> NoReturn:
    """Print one line on stderr and exit with code 1."""
    typer.echo(f"kazoo-media: {_text(message)}", err=True)
    raise typer.Exit(1)


@contextmanager
def transfer_bar(name: str) -> Iterator[Report]:
    """Show bytes, rate and remaining time of a transfer, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield _no_report
        return
    from rich.progress import (  # noqa: PLC0415
        DownloadColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    with _bar(name, DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as report:
        yield report


@contextmanager
def count_bar(name: str) -> Iterator[Report]:
    """Show how many items are done, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield _no_report
        return
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn  # noqa: PLC0415

    with _bar(name, MofNCompleteColumn(), TimeRemainingColumn()) as report:
        yield report


@contextmanager
def _bar(name: str, *columns: ProgressColumn) -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    title = TextColumn("{task.description}", markup=False)
    console = Console(stderr=True, markup=False, highlight=False)
    with Progress(title, BarColumn(), *columns, console=console) as progress:
        task = progress.add_task(_text(name), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _no_report(done: int, total: int | None) -> None:
    """Show nothing."""


def _text(cell: object) -> str:
    """Return the text without control characters: names may come from untrusted clients."""
    text = f"{cell:,.1f}" if isinstance(cell, float) else str(cell)
    return "".join(each if each.isprintable() else "�" for each in text)
