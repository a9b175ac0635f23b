"""The formats of a list: compact JSON, indented JSON or CSV.

Rows are written one by one, so a list needs little memory whatever its length.

Source: RFC 8259, RFC 4180.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from kazoo_media.crossbar.answers import CSV, JSON

_LINE_END = "\r\n"
_FORMULA_STARTS = tuple("=+-@\t\r\n")

Row = Any
"""A document, a count as (name, number), or an id."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The kind of rows that a list has.

    Attributes:
        columns: Their names in CSV.
        counts: Whether the rows are members of one object instead of elements of an array.
        revised: Whether the envelope has a revision; lists of strings have none.
    """

    columns: tuple[str, ...]
    counts: bool = False
    revised: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """The text before, between and after the rows.

    Attributes:
        head: The text before the value of `data`.
        empty: The value of `data` if there are no rows.
        rows: Serializes at least one row, with separators between them.
    """

    content_type: str
    head: bytes
    opening: bytes
    separator: bytes
    closing: bytes
    empty: bytes
    rows: Callable[[Sequence[Row]], bytes]


def compact(shape: Shape) -> Layout:
    """Return the layout of compact JSON."""
    if shape.counts:
        return Layout(JSON, b'{"data":', b"[{", b",", b"}]", b"[]", _joined(_count, b","))
    return Layout(JSON, b'{"data":', b"[", b",", b"]", b"[]", _elements)


def pretty(shape: Shape) -> Layout:
    """Return the layout of indented JSON."""
    head = b'{\n  "data": '
    if shape.counts:
        separator = b",\n      "
        opening, closing = b"[\n    {\n      ", b"\n    }\n  ]"
        rows = _joined(_pretty_count, separator)
        return Layout(JSON, head, opening, separator, closing, b"[]", rows)
    separator = b",\n    "
    rows = _joined(_pretty, separator)
    return Layout(JSON, head, b"[\n    ", separator, b"\n  ]", b"[]", rows)


def comma_separated(shape: Shape) -> Layout:
    """Return the layout of CSV: a line with the column names, then a line per row.

    A cell that a spreadsheet would run as a formula begins with an apostrophe.

    Source: OWASP, CSV Injection.
    """

    def line(row: Row) -> bytes:
        return _line(_cells(row, shape.columns))

    end = _LINE_END.encode()
    head = _line(shape.columns) + end
    return Layout(CSV, head, b"", end, end, b"", _joined(line, end))


def _joined(text: Callable[[Row], bytes], separator: bytes) -> Callable[[Sequence[Row]], bytes]:
    return lambda rows: separator.join(map(text, rows))


def _elements(rows: Sequence[Row]) -> bytes:
    return orjson.dumps(rows)[1:-1]  # all at once: half the cost of one by one


def _count(row: tuple[str, int]) -> bytes:
    name, number = row
    return orjson.dumps(name) + b":%d" % number


def _pretty_count(row: tuple[str, int]) -> bytes:
    name, number = row
    return orjson.dumps(name) + b": %d" % number


def _pretty(row: Row) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_INDENT_2).replace(b"\n", b"\n    ")


def _cells(row: Row, columns: Sequence[str]) -> Sequence[str]:
    if isinstance(row, str):
        return (_cell(row),)
    if isinstance(row, tuple):
        return [_cell(each) for each in row]
    return [_cell(row.get(column)) for column in columns]


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=_LINE_END).writerow(cells)  # it quotes cells that contain it
    return text.getvalue().removesuffix(_LINE_END).encode()
