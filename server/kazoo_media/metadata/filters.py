"""Media queries as SQLite conditions; `model.Filter` defines their meaning."""

from __future__ import annotations

from typing import TypeAlias

import orjson

from kazoo_media.model import Filter, FilterOperator, MediaQuery

Condition: TypeAlias = tuple[str, tuple[str | int, ...]]
"""SQL with question marks, and the values for them."""

# `->` returns a number as the document has it; `->>` would turn 1e20 into another text.
_TEXT = (
    "(case json_type(m.doc, ?) when 'text' then m.doc ->> ?"
    " when 'integer' then m.doc -> ? when 'real' then m.doc -> ?"
    " when 'true' then 'true' when 'false' then 'false'"
    " when 'array' then null when 'object' then null else '' end)"
)
_HAS_KEY = "(json_type(m.doc, ?) is not null)"
_HAS_VALUE = (
    "(case json_type(m.doc, ?) when 'text' then (m.doc ->> ?) not in ('', '0')"
    " when 'integer' then (m.doc ->> ?) <> 0 when 'real' then (m.doc ->> ?) <> 0"
    " when 'array' then (m.doc -> ?) <> '[]' when 'object' then (m.doc -> ?) <> '{}'"
    " when 'true' then 1 when 'false' then 1 else 0 end)"
)


def query_condition(account_id: str, query: MediaQuery) -> Condition:
    """Return the condition for the media of an account that match a query."""
    state = "is not null" if query.deleted else "is null"
    parts: list[Condition] = [(f"m.account = ? and m.deleted_at {state}", (account_id,))]
    bounds = (
        ("m.id <= ?" if query.descending else "m.id >= ?", query.start),
        ("m.created >= ?", query.created_from_ms),
        ("m.created <= ?", query.created_to_ms),
        ("m.modified >= ?", query.modified_from_ms),
        ("m.modified <= ?", query.modified_to_ms),
    )
    parts += [(sql, (bound,)) for sql, bound in bounds if bound is not None]
    if not query.with_recordings:
        parts.append(("m.recorded = 0", ()))
    parts += [_filter_condition(each) for each in query.filters]
    return " and ".join(sql for sql, _ in parts), sum((values for _, values in parts), ())


def _filter_condition(condition: Filter) -> Condition:
    match condition.operator:
        case FilterOperator.EQUALS:
            return _equals_any(condition)
        case FilterOperator.NOT_EQUALS:
            return _negated(_equals_any(condition))
        case FilterOperator.HAS_KEY:
            return _has_key(condition.path)
        case FilterOperator.KEY_MISSING:
            return _negated(_has_key(condition.path))
        case FilterOperator.HAS_VALUE:
            return _has_value(condition.path)
        case FilterOperator.VALUE_MISSING:
            return _negated(_has_value(condition.path))


def _negated(condition: Condition) -> Condition:
    sql, values = condition
    return f"not {sql}", values


def _equals_any(condition: Filter) -> Condition:
    sql, bindings = _text(condition.path)
    values = condition.values
    if condition.ignores_case:
        # SQLite's lower() handles only ASCII; Python has lowered the column.
        sql = f"coalesce(m.language, {sql})"
        values = tuple(each.lower() for each in values)
    marks = ", ".join("?" * len(values))
    return f"coalesce({sql} in ({marks}), 0)", (*bindings, *values)


def _text(path: tuple[str, ...]) -> Condition:
    return ("m.id", ()) if path == ("id",) else _repeated(_TEXT, path)


def _has_key(path: tuple[str, ...]) -> Condition:
    return ("1", ()) if path == ("id",) else _repeated(_HAS_KEY, path)


def _has_value(path: tuple[str, ...]) -> Condition:
    return ("(m.id not in ('', '0'))", ()) if path == ("id",) else _repeated(_HAS_VALUE, path)


def _repeated(sql: str, path: tuple[str, ...]) -> Condition:
    # Since SQLite 3.48 a quoted label of a path is a JSON string, so it can name any key.
    json_path = "$" + "".join("." + orjson.dumps(key).decode() for key in path)
    return sql, (json_path,) * sql.count("?")
