"""UpdateMedia's edits: the document that results from the stored one, the message and its mask."""

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
"""Keys from the top of a document down; empty: every key that is for `extra`."""

_EXTRA: _Path = ()
_PATHS: Mapping[str, _Path] = {key: (key,) for key in TYPED_KEYS} | {
    "tts.text": ("tts", "text"),
    "tts.voice": ("tts", "voice"),
    "extra": _EXTRA,
}
_ABSENT = object()


def edit_of(message: media_pb2.Media, mask: Sequence[str]) -> Edit:
    """Return the edit that a message and its mask describe; an empty mask names every field.

    Raises:
        ValidationError: with all unknown paths, or as `document_of`.
    """
    paths = _parsed(mask) if mask else [*((key,) for key in TYPED_KEYS), _EXTRA]
    wanted = document_of(message)

    def edit(current: Media) -> Mapping[str, Any]:
        document = dict(current.document)
        for path in paths:
            for each in [path] if path else _extra_paths(document, wanted):
                document = _copied(document, wanted, each)
        document.setdefault("language", None)  # without one, rather than with the default one
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


def _copied(document: Mapping[str, Any], wanted: object, path: _Path) -> dict[str, Any]:
    """Return the document with what stands at a path replaced by what is wanted there, if only
    nothing.
    """
    key, rest = path[0], path[1:]
    result = dict(document)
    value = wanted.get(key, _ABSENT) if isinstance(wanted, Mapping) else _ABSENT
    if rest:
        inner = result.get(key)
        if isinstance(inner, Mapping) or value is not _ABSENT:
            result[key] = _copied(inner if isinstance(inner, Mapping) else {}, value, rest)
    elif value is _ABSENT:
        result.pop(key, None)
    elif key not in result or to_value(result[key]) != to_value(value):
        # What a message can not tell apart stays as stored: integers beyond 2**53 survive.
        result[key] = value
    return result
