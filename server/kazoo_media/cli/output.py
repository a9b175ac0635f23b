"""What commands print: tables and JSON on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from kazoo_media.client import Progress as Report

_PIPE_COLUMNS = 240  # lines for other programs are not folded to a terminal's width


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows, numbers to the right."""
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
    """Print a value for a script."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def fail(message: str) -> NoReturn:
    """Print one line on stderr and end with exit code 1."""
    typer.echo(f"kazoo-media: {_text(message)}", err=True)
    raise typer.Exit(1)


@contextmanager
def transfer_bar(name: str) -> Iterator[Report]:
    """Show a transfer: bytes, rate, time left. Nothing where stderr is no terminal."""
    columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with _progress(*columns) as progress:
        task = progress.add_task(_text(name), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def count_bar(name: str) -> Iterator[Report]:
    """Show how many of many are done. Nothing where stderr is no terminal."""
    with _progress(MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task(_text(name), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _progress(*columns: ProgressColumn) -> Progress:
    console = Console(stderr=True, markup=False, highlight=False)
    name = TextColumn("{task.description}", markup=False)
    return Progress(name, BarColumn(), *columns, console=console, disable=not console.is_terminal)


def _text(cell: object) -> str:
    """Return a cell without anything that could steer the terminal: names are other people's."""
    text = f"{cell:,.1f}" if isinstance(cell, float) else str(cell)
    return "".join(each if each.isprintable() else "�" for each in text)
