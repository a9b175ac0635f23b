"""A request as the gateway passes it on: metadata, query, parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from kazoo_media.crossbar.operations import Target
from kazoo_media.transport.context import PEER_KEY

_SIZE = re.compile(r"[0-9]{1,18}")
_NOTHING: Mapping[str, Sequence[str]] = {}


@dataclass(slots=True)
class Request:
    """A request, but for its body.

    Attributes:
        verb: What is asked for: the HTTP method, or what `verb=` made of a POST.
        headers: Lower-case names.
        query: All values of each key, in their order.
        envelope: Top-level keys of the JSON body, filled when it was read.
        foreign: Whether the body is neither JSON nor a form; it was not read then.
    """

    target: Target
    verb: str
    headers: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    request_id: str
    envelope: Mapping[str, Any] = field(default_factory=dict)
    foreign: bool = False

    @classmethod
    def of(cls, target: Target, headers: Mapping[str, str], request_id: str) -> Request:
        """Return the request that a call's metadata describe."""
        text = headers.get("x-rest-uri", "").partition("?")[2]
        method = headers.get("x-rest-method", "")
        return cls(target, method, headers, _parsed(text) if text else _NOTHING, request_id)

    def asked(self, name: str) -> str:
        """Return a query parameter, "" when it is not there; of several the last counts."""
        values = self.query.get(name)
        return values[-1] if values else ""

    def parameter(self, name: str) -> str:
        """Return a parameter of the query, else of the envelope, "" when it is in neither."""
        return self.asked(name) or _text(self.envelope.get(name))

    @property
    def data(self) -> Mapping[str, Any]:
        """Return the document in the body."""
        data: Mapping[str, Any] = self.envelope.get("data") or {}
        return data

    @property
    def token(self) -> str:
        """Return the caller's token, "" for none: the header wins, an empty one is as none."""
        token = self.headers.get("x-auth-token") or self.parameter("auth_token")
        if token:
            return token
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        return credentials.strip() if scheme.lower() == "bearer" else ""

    @property
    def accept(self) -> str:
        """Return what the client wants to get; the parameter wins over the header."""
        return self.parameter("accept") or self.headers.get("accept", "")

    @property
    def wants_pretty(self) -> bool:
        """Tell whether JSON is wanted as people read it."""
        asked = self.parameter("pretty_print") or self.headers.get("x-pretty-print", "")
        return asked.lower() == "true"

    @property
    def peer(self) -> str:
        """Return the client's address, as the gateway knows it."""
        return self.headers.get(PEER_KEY, "")

    @property
    def only_headers(self) -> bool:
        """Tell whether the answer has no body."""
        return self.verb == "HEAD"

    @property
    def size_bytes(self) -> int | None:
        """Return the Content-Length of the body, None when it is not known."""
        text = self.headers.get("x-rest-content-length", "")
        return int(text) if _SIZE.fullmatch(text) else None

    @property
    def content_type(self) -> str:
        """Return the Content-Type of the body, "" for none. A doubled header comes as one list: the
        last counts.
        """
        text = self.headers.get("x-rest-content-type", "")
        if "," not in text:
            return text.strip()
        return _last_of(text)


def _parsed(text: str) -> Mapping[str, Sequence[str]]:
    query: dict[str, list[str]] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        query.setdefault(key, []).append(value)
    return query


def _text(value: object) -> str:
    """Return a value of the envelope as a query would have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else ""


def _last_of(text: str) -> str:
    """Return the last element of a header's list; commas in quotes separate nothing."""
    start, quoted = 0, False
    for index, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            start = index + 1
    return text[start:].strip()
