"""Lists as CSV for spreadsheets, which run some cells as formulas."""

from __future__ import annotations

import orjson
import pytest

from kazoo_media.crossbar.layouts import Row, Shape, comma_separated, compact


def _csv(row: Row, *columns: str) -> str:
    layout = comma_separated(Shape(columns))
    return layout.rows([row]).decode()


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(first: str) -> None:
    name = f"{first}HYPERLINK(A1)"
    quoted = f"'{name}" if first not in "\r\n" else f'"\'{name}"'
    assert _csv({"id": "a", "name": name}, "id", "name") == f"a,{quoted}"
    assert _csv(name, "id") == quoted
    assert _csv((name, 3), "prompt_id", "count") == f"{quoted},3"


def test_a_number_below_zero_is_not_run_as_well() -> None:
    assert _csv({"name": -1}, "name") == "'-1"


@pytest.mark.parametrize("name", ["a=1", "'=1", " =1", "1+1", "ä-", ""])
def test_other_cells_stay_as_they_are(name: str) -> None:
    assert _csv({"id": "a", "name": name}, "id", "name") == f"a,{name}"


def test_json_stays_as_it_is() -> None:
    rows = [{"name": "=1+1"}, {"name": "-1"}]
    assert orjson.loads(b"[" + compact(Shape(("name",))).rows(rows) + b"]") == rows


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_name_of_two_lines_stays_one_cell(end: str) -> None:
    assert _csv({"id": "a", "name": f"x{end}=1"}, "id", "name") == f'a,"x{end}=1"'
