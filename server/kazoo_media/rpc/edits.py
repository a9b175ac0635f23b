"""UpdateMedia's edits: how a message and its mask change a stored document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from kazoo_media.errors import ValidationError, Violation
from kazoo_media.media.library import Edit
from kazoo_media.model import Media
from kazoo_media.rpc.convert import OUTPUT_KEYS, TYPED_KEYS, document_of
from kazoo_media.rpc.values import to_value
from kazoo_media.v1 import media_pb2

_Path: TypeAlias = tuple[str, ...]
"""Keys from the top of a document down; empty: all keys of `extra`."""

_EXTRA: _Path = ()
_PATHS: Mapping[str, _Path] = {key: (key,) for key in TYPED_KEYS} | {
    "tts.text": ("tts", "text"),
    "tts.voice": ("tts", "voice"),
    "extra": _EXTRA,
}
_ABSENT = object()


def edit_of(message: media_pb2.Media, mask: Sequence[str]) -> Edit:
    """Return the edit that a message and its mask describe.

    Args:
        mask: Empty: all fields.

    Raises:
        ValidationError: the mask has unknown paths, or `document_of` raised it.
    """
    paths = _parsed(mask) if mask else [*((key,) for key in TYPED_KEYS), _EXTRA]
    new = document_of(message)

    def edit(current: Media) -> Mapping[str, Any]:
        document = dict(current.document)
        for path in paths:
            for each in [path] if path else _extra_paths(document, new):
                document = _copied(document, new, each)
        document.setdefault("language", None)  # absent stands for none, not for the default
        return document

    return edit


def _parsed(mask: Sequence[str]) -> list[_Path]:
    paths = [(text, _path(text)) for text in mask]
    unknown = [
        Violation(
            "update_mask", "invalid", f"{text[:128]!r} is not a field that can be changed", {}
        )
        for text, path in paths
        if path is None
    ]
    if unknown:
        raise ValidationError(unknown)
    return [path for _, path in paths if path is not None]


def _path(text: str) -> _Path | None:
    if text in _PATHS:
        return _PATHS[text]
    first, *keys = text.split(".")
    if first != "extra" or not all(keys) or keys[0] in TYPED_KEYS | OUTPUT_KEYS:
        return None
    return tuple(keys)


def _extra_paths(*documents: Iterable[str]) -> Iterator[_Path]:
    for key in {key for document in documents for key in document}:
        if key not in TYPED_KEYS and key not in OUTPUT_KEYS:
            yield (key,)


def _copied(document: Mapping[str, Any], new: object, path: _Path) -> dict[str, Any]:
    """Return the document with the value at a path copied from `new`, or removed if absent."""
    key, rest = path[0], path[1:]
    result = dict(document)
    value = new.get(key, _ABSENT) if isinstance(new, Mapping) else _ABSENT
    if rest:
        inner = result.get(key)
        if isinstance(inner, Mapping) or value is not _ABSENT:
            result[key] = _copied(inner if isinstance(inner, Mapping) else {}, value, rest)
    elif value is _ABSENT:
        result.pop(key, None)
    elif key not in result or to_value(result[key]) != to_value(value):
        # Values that are equal in a message stay as stored, so integers beyond 2**53 are kept.
        result[key] = value
    return result
