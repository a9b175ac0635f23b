"""UpdateMedia's edits: how a message and its mask change a stored document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from kazoo_media.documents.limits import DEPTH_LIMIT
from kazoo_media.documents.violations import too_many
from kazoo_media.errors import ValidationError, Violation
from kazoo_media.media.library import Edit
from kazoo_media.model import Media
from kazoo_media.rpc.convert import OUTPUT_KEYS, TYPED_KEYS

_Path: TypeAlias = tuple[str, ...]
"""Keys from the top of a document down; empty: all keys of `extra`."""

_EXTRA: _Path = ()
_PATHS: Mapping[str, _Path] = {key: (key,) for key in TYPED_KEYS} | {
    "tts.text": ("tts", "text"),
    "tts.voice": ("tts", "voice"),
    "extra": _EXTRA,
}
_ABSENT = object()
_MASK_LIMIT = 1_000


def edit_of(sent: Mapping[str, Any], mask: Sequence[str]) -> Edit:
    """Return the edit that a client's document and its mask describe.

    Args:
        sent: As `document_of` returns it.
        mask: Empty: all fields.

    Raises:
        ValidationError: the mask has too many paths, or unknown ones.
    """
    paths = _parsed(mask) if mask else [*((key,) for key in TYPED_KEYS), _EXTRA]

    def edit(current: Media) -> Mapping[str, Any]:
        document = dict(current.document)
        for path in paths:
            for each in [path] if path else _extra_paths(document, sent):
                _copy(document, sent, each)
        document.setdefault("language", None)  # absent stands for none, not for the default
        return document

    return edit


def _parsed(mask: Sequence[str]) -> list[_Path]:
    if len(mask) > _MASK_LIMIT:
        raise ValidationError([too_many("update_mask", "paths", len(mask), _MASK_LIMIT)])
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
    if text.count(".") > DEPTH_LIMIT:
        return None
    first, *keys = text.split(".")
    if first != "extra" or not all(keys) or keys[0] in TYPED_KEYS | OUTPUT_KEYS:
        return None
    return tuple(keys)


def _extra_paths(*documents: Iterable[str]) -> Iterator[_Path]:
    for key in {key for document in documents for key in document}:
        if key not in TYPED_KEYS and key not in OUTPUT_KEYS:
            yield (key,)


def _copy(document: dict[str, Any], sent: object, path: _Path) -> None:
    """Copy the value at a path from `sent`, or remove it if it is absent there."""
    for key in path[:-1]:
        sent = sent.get(key, _ABSENT) if isinstance(sent, Mapping) else _ABSENT
        inner = document.get(key)
        if not isinstance(inner, Mapping):
            if sent is _ABSENT:
                return
            inner = {}
        copied = dict(inner)  # the stored one must not change
        document[key] = copied
        document = copied
    key = path[-1]
    value = sent.get(key, _ABSENT) if isinstance(sent, Mapping) else _ABSENT
    if value is _ABSENT:
        document.pop(key, None)
    elif key not in document or not _are_equal(document[key], value):
        document[key] = value


def _are_equal(stored: object, sent: object) -> bool:
    """Return whether two values are equal in a message, which has doubles for all numbers.

    Such values stay as stored, so integers beyond 2**53 are kept.
    """
    if isinstance(stored, bool) or isinstance(sent, bool):
        return stored is sent
    if isinstance(stored, int | float) and isinstance(sent, int | float):
        return float(stored) == float(sent)
    if isinstance(stored, Mapping) and isinstance(sent, Mapping):
        return stored.keys() == sent.keys() and all(
            _are_equal(value, sent[key]) for key, value in stored.items()
        )
    if isinstance(stored, list) and isinstance(sent, list):
        return len(stored) == len(sent) and all(map(_are_equal, stored, sent))
    return stored == sent
