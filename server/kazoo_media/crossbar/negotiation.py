"""Content negotiation: whether a request or its answer is JSON or audio, and which rendition.

Source: RFC 9110, 12.5.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from werkzeug.http import parse_accept_header

from kazoo_media.audio.formats import ACCEPTED_TYPES, UNTYPED, essence, extension_of, same_format
from kazoo_media.crossbar.answers import CSV, JSON
from kazoo_media.crossbar.content_types import BASE64_TYPES
from kazoo_media.crossbar.operations import Operation
from kazoo_media.crossbar.requests import Request
from kazoo_media.errors import NotAcceptableError
from kazoo_media.model import Rendition

_ALIASES = {
    "application/x-json": JSON,
    "json": JSON,
    "text/comma-separated-values": CSV,
    "csv": CSV,
}
"""Kazoo's aliases; those without a slash are values of the parameter `accept`."""
BYTES = "application/octet-stream"
"""Any bytes. Source: RFC 2046, 4.5.1."""
_KEPT_CHARACTERS = 200
_UPLOAD_TYPES = (*UNTYPED, *BASE64_TYPES)


class _Rank(NamedTuple):
    """The client's preference for a type; earlier fields count more."""

    weight: float
    precision: int
    earliness: int


@dataclass(frozen=True, slots=True)
class _MediaRange:
    content_type: str
    rank: _Rank

    def covers(self, content_type: str) -> bool:
        if self.rank.precision == 2:
            return same_format(self.content_type, content_type)
        return self.rank.precision == 0 or content_type.startswith(self.content_type[:-1])


class Accept:
    """A parsed Accept header; an empty one accepts all types."""

    def __init__(self, text: str) -> None:
        self._ranges = [
            _media_range(each, weight, -index)
            for index, (each, weight) in enumerate(parse_accept_header(text))
        ] or [_media_range("*/*", 1, 0)]

    @classmethod
    def of(cls, text: str) -> Accept:
        """Return a parsed header. Results are cached, as most clients send one of a few headers."""
        return _kept(text) if len(text) <= _KEPT_CHARACTERS else cls(text)

    @cached_property
    def prefers_audio(self) -> bool:
        """Return whether an audio or video type is preferred to JSON."""
        named = [
            each.rank
            for each in self._ranges
            if each.rank.weight > 0 and _is_audio(each.content_type)
        ]
        return bool(named) and max(named) > (self.rank(JSON) or _Rank(0, 0, 0))

    @cached_property
    def prefers_csv(self) -> bool:
        """Return whether CSV is preferred to JSON."""
        rank = self.rank(CSV)
        return rank is not None and rank > (self.rank(JSON) or _Rank(0, 0, 0))

    def check(self, content_types: Sequence[str]) -> None:
        """Check that the client accepts one of the types, one of which is JSON.

        Raises:
            NotAcceptableError: it accepts none of them.
        """
        if not self._takes_json and not any(map(self.rank, content_types)):
            raise NotAcceptableError(f"the answer is {' or '.join(content_types)}", content_types)

    @cached_property
    def _takes_json(self) -> bool:
        return self.rank(JSON) is not None

    def choose(self, renditions: Sequence[Rendition], extension: str) -> Rendition:
        """Return the rendition that the client prefers.

        Between equals the extension in the path decides, then the order of `renditions`. A client
        that accepts the types of none of them but plain bytes may get any.

        Raises:
            NotAcceptableError: the client accepts none of them.
        """
        ranks = [self.rank(each.content_type) for each in renditions]
        if not any(ranks):
            ranks = [self.rank(BYTES)] * len(renditions)
        best: tuple[float, bool, int] | None = None
        for index, (each, rank) in enumerate(zip(renditions, ranks, strict=True)):
            if rank is not None:
                named = bool(extension) and extension_of(each.content_type) == extension.lower()
                best = max(best or (0, False, 0), (rank.weight, named, -index))
        if best is None:
            types = list(dict.fromkeys(each.content_type for each in renditions))
            raise NotAcceptableError("no rendition has an accepted type", types)
        return renditions[-best[2]]

    def named_type(self, content_type: str) -> str:
        """Return the type under which the client gets audio: its own, or that of plain bytes."""
        return BYTES if self.rank(content_type) is None and self.rank(BYTES) else content_type

    def rank(self, content_type: str) -> _Rank | None:
        """Return the preference for a type by the most specific range; None: not accepted."""
        covering = [each.rank for each in self._ranges if each.covers(content_type)]
        if not covering:
            return None
        found = max(covering, key=lambda rank: (rank.precision, rank.weight, rank.earliness))
        return found if found.weight > 0 else None


@lru_cache(maxsize=200)
def _kept(text: str) -> Accept:
    return Accept(text)


def resolved(operation: Operation, request: Request) -> Operation:
    """Return the intended operation: one path serves the document and its audio."""
    if operation in (Operation.GET_MEDIA, Operation.GET_RECORDING):
        accept = request.accept
        if accept and Accept.of(accept).prefers_audio:
            return Operation.DOWNLOAD
    elif operation is Operation.UPDATE_MEDIA:
        kind = essence(request.content_type)
        if _is_audio(kind) or kind in _UPLOAD_TYPES or kind.startswith("multipart/"):
            return Operation.UPLOAD
    return operation


def _is_audio(content_type: str) -> bool:
    return content_type.startswith(("audio/", "video/")) or content_type in ACCEPTED_TYPES


def _media_range(text: str, weight: float, earliness: int) -> _MediaRange:
    content_type = essence(text)
    content_type = _ALIASES.get(content_type, content_type)
    precision = 0 if content_type in {"*/*", "*"} else 1 if content_type.endswith("/*") else 2
    return _MediaRange(content_type, _Rank(weight, precision, earliness))
