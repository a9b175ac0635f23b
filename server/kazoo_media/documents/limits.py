"""How much a document, a filter of documents and the body around a document may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kazoo_media.documents.violations import too_many
from kazoo_media.errors import TooLargeError, ValidationError, Violation
from kazoo_media.model import Filter

VALUES_LIMIT = 5_000
"""Maximum number of values in a document: members of objects and elements of arrays, on all levels.

It bounds every step in pure Python, which competes with the event loop for the interpreter.
"""

CHARACTERS_LIMIT = 6 * 1024 * 1024
"""Maximum length of all keys and strings of a document together. Changes can be merged into it
again and again; a little more than a body may have, for what the service adds."""

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
"""The integers that JSON is stored with: 64 bits, with or without a sign."""

DEPTH_LIMIT = 32
"""Maximum levels of arrays and objects, including the envelope and `data`.

gRPC clients must be able to read the document in a list; protobuf allows 100 levels and needs three
for each object.
"""

FILTERS_LIMIT = 100
COMPARED_LIMIT = 1_000
"""Maximum number of values that the filters of a query compare with, together."""


def check_extent(document: Mapping[str, object]) -> None:
    """Check how much a document has.

    Raises:
        ValidationError: it has too many values or levels, or an integer of more than 64 bits.
        TooLargeError: its keys and strings are too long.
    """
    values, characters, levels = 0, 0, 1  # one level is the envelope's
    level: list[object] = [document]
    while level:
        objects = [each for each in level if isinstance(each, Mapping)]
        arrays = [each for each in level if isinstance(each, list)]
        levels += bool(objects or arrays)
        characters += sum(len(each) for each in level if isinstance(each, str))
        characters += sum(sum(map(len, each)) for each in objects)
        level = [each for one in objects for each in one.values()]
        level += [each for one in arrays for each in one]
        values += len(level)
        _check_integers(level)
    counts = (("values", values, VALUES_LIMIT), ("levels", levels, DEPTH_LIMIT))
    _check("data", counts)
    if characters > CHARACTERS_LIMIT:
        raise TooLargeError(CHARACTERS_LIMIT)


def check_filters(filters: Sequence[Filter]) -> None:
    """Check how much the filters of a query have.

    Raises:
        ValidationError: there are too many filters, keys in a path, or values to compare with.
    """
    counts = (
        ("filters", len(filters), FILTERS_LIMIT),
        (
            "keys in the path of a filter",
            max((len(each.path) for each in filters), default=0),
            DEPTH_LIMIT,
        ),
        ("values in filters", sum(len(each.values) for each in filters), COMPARED_LIMIT),
    )
    _check("filters", counts)


def check_nul(value: object, *path: str) -> None:
    """Check that no text of a document has a NUL, which PostgreSQL cannot store.

    Args:
        value: The document, or what it has at the path.
        path: Keys.

    Raises:
        ValidationError: one has.
    """
    if isinstance(value, Mapping):
        for key, each in value.items():
            check_nul(key, *path)
            check_nul(each, *path, key)
    elif isinstance(value, list):
        for each in value:
            check_nul(each, *path)
    elif isinstance(value, str) and "\0" in value:
        field = ".".join(path) or "data"
        raise ValidationError([Violation(field, "invalid", "must not contain NUL", {})])


def _check_integers(level: Sequence[object]) -> None:
    integers = [each for each in level if isinstance(each, int)]
    if integers and not MIN_INTEGER <= min(integers) <= max(integers) <= MAX_INTEGER:
        text = "an integer must not have more than 64 bits"
        raise ValidationError([Violation("data", "invalid", text, {})])


def _check(field: str, counts: Sequence[tuple[str, int, int]]) -> None:
    violations = [
        too_many(field, what, number, limit) for what, number, limit in counts if number > limit
    ]
    if violations:
        raise ValidationError(violations)
