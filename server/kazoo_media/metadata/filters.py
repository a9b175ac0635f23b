"""Media queries as SQL conditions; `model.Filter` defines their meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from kazoo_media.metadata.engine import Value
from kazoo_media.model import Filter, FilterOperator, MediaQuery

Condition: TypeAlias = tuple[str, tuple[Value, ...]]
"""SQL with question marks, and the values for them."""

Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DocumentSql:
    """How a database looks into the document `m.doc`, at a path of keys.

    Attributes:
        text: The value as text, as filters compare it; NULL for objects and arrays.
        has_key: Whether the path exists.
        has_value: Whether it has a value, as HAS_VALUE defines it.
    """

    text: Callable[[Path], Condition]
    has_key: Callable[[Path], Condition]
    has_value: Callable[[Path], Condition]

    def condition(self, account_id: str, query: MediaQuery) -> Condition:
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
        parts += [self._filter(each) for each in query.filters]
        return " and ".join(sql for sql, _ in parts), sum((values for _, values in parts), ())

    def _filter(self, condition: Filter) -> Condition:
        condition = replace(condition, values=_without_nul(condition.values))
        match condition.operator:
            case FilterOperator.EQUALS:
                return self._equals_any(condition)
            case FilterOperator.NOT_EQUALS:
                return _negated(self._equals_any(condition))
            case FilterOperator.HAS_KEY:
                return self._has_key(condition.path)
            case FilterOperator.KEY_MISSING:
                return _negated(self._has_key(condition.path))
            case FilterOperator.HAS_VALUE:
                return self._has_value(condition.path)
            case FilterOperator.VALUE_MISSING:
                return _negated(self._has_value(condition.path))

    def _equals_any(self, condition: Filter) -> Condition:
        sql, bindings = self._text(condition.path)
        values = condition.values
        if not values:
            return ("false", ())
        if condition.ignores_case:
            # SQLite's lower() handles only ASCII; Python has lowered the column.
            sql = f"coalesce(m.language, {sql})"
            values = tuple(each.lower() for each in values)
        marks = ", ".join("?" * len(values))
        return f"coalesce({sql} in ({marks}), false)", (*bindings, *values)

    def _text(self, path: Path) -> Condition:
        if _is_nowhere(path):
            return ("''", ())
        return ("m.id", ()) if path == ("id",) else self.text(path)

    def _has_key(self, path: Path) -> Condition:
        if _is_nowhere(path):
            return ("false", ())
        return ("true", ()) if path == ("id",) else self.has_key(path)

    def _has_value(self, path: Path) -> Condition:
        if _is_nowhere(path):
            return ("false", ())
        return ("(m.id not in ('', '0'))", ()) if path == ("id",) else self.has_value(path)


def _is_nowhere(path: Path) -> bool:
    return len(_without_nul(path)) < len(path)


def _without_nul(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the texts that a document may have: none has a NUL, and PostgreSQL takes none."""
    return tuple(each for each in texts if "\0" not in each)


def _negated(condition: Condition) -> Condition:
    sql, values = condition
    return f"not {sql}", values
