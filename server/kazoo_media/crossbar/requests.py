"""A REST request as the gateway sends it: headers, query, parameters."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from kazoo_media.crossbar.limits import PARAMETERS_LIMIT, check_headers, check_parameters
from kazoo_media.crossbar.operations import Target
from kazoo_media.transport.context import PEER_KEY

_SIZE = re.compile(r"[0-9]{1,18}")
_TYPE = re.compile(r"[ \t]*[\w!#$&^.+-]+/[\w!#$&^.+-]+[ \t]*(?:[;,]|$)", re.ASCII)
_NOTHING: Mapping[str, Sequence[str]] = {}


@dataclass(slots=True)
class Request:
    """A request without its body.

    Attributes:
        verb: The HTTP method, or the method that `verb=` names in a POST.
        headers: By lower-case name.
        query: All values of each key, in their order.
        query_text: The query as it was sent; with too many parameters, `query` is empty.
        envelope: Top-level keys of the JSON body, filled after it was read.
        foreign: Whether the body is neither JSON nor a form; such a body was not read.
    """

    target: Target
    verb: str
    headers: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    request_id: str
    query_text: str = ""
    envelope: Mapping[str, Any] = field(default_factory=dict)
    foreign: bool = False

    @classmethod
    def of(cls, target: Target, headers: Mapping[str, str], request_id: str) -> Request:
        """Return the request that the metadata of a call describe."""
        text = headers.get("x-rest-uri", "").partition("?")[2]
        method = headers.get("x-rest-method", "")
        query = _parsed(text) if text else _NOTHING
        return cls(target, method, headers, query, request_id, text)

    def check(self) -> None:
        """Check the extent of the query and of the headers that are parsed.

        Raises:
            ValidationError: there are too many parameters, or a header is too long.
        """
        check_parameters("query", self.query_text)
        check_headers(self.headers)

    def query_value(self, name: str) -> str:
        """Return a query parameter; "" if it is absent, the last value if there are several."""
        values = self.query.get(name)
        return values[-1] if values else ""

    def parameter(self, name: str) -> str:
        """Return a parameter of the query or else of the envelope; "" if both lack it."""
        value = self.query_value(name)
        return value if value or not self.envelope else _text(self.envelope.get(name))

    @property
    def data(self) -> Mapping[str, Any]:
        """Return the document in the body."""
        data: Mapping[str, Any] = self.envelope.get("data") or {}
        return data

    @property
    def token(self) -> str:
        """Return the caller's token; "" if there is none. X-Auth-Token goes first, if not empty."""
        token = self.headers.get("x-auth-token") or self.parameter("auth_token")
        if token:
            return token
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        return credentials.strip() if scheme.lower() == "bearer" else ""

    @property
    def basic(self) -> tuple[str, str]:
        """Return user and password of HTTP Basic; empty ones if there are none (RFC 7617)."""
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return "", ""
        try:
            text = base64.b64decode(credentials.strip(), validate=True).decode()
        except ValueError:
            return "", ""
        user, _, password = text.partition(":")
        return user, password

    @property
    def accept(self) -> str:
        """Return the parameter `accept`, or else the header."""
        return self.parameter("accept") or self.headers.get("accept", "")

    @property
    def wants_pretty(self) -> bool:
        """Return whether the client asks for indented JSON."""
        flag = self.parameter("pretty_print") or self.headers.get("x-pretty-print", "")
        return flag.lower() == "true"

    @property
    def peer(self) -> str:
        """Return the client's address, which the gateway sets."""
        return self.headers.get(PEER_KEY, "")

    @property
    def is_v1(self) -> bool:
        """Return whether the path begins with /v1, whose lists differ from those of /v2."""
        return self.headers.get("x-rest-uri", "").startswith("/v1/")

    @property
    def only_headers(self) -> bool:
        """Return whether the answer must not have a body."""
        return self.verb == "HEAD"

    @property
    def size_bytes(self) -> int | None:
        """Return the Content-Length of the body; None if it is unknown."""
        text = self.headers.get("x-rest-content-length", "")
        return int(text) if _SIZE.fullmatch(text) else None

    @property
    def content_type(self) -> str:
        """Return the Content-Type of the body; "" if there is none.

        The gateway joins repeated headers to one list, of which the last element counts.
        """
        text = self.headers.get("x-rest-content-type", "")
        return _last_of(text) if "," in text else text.strip()


def _parsed(text: str) -> Mapping[str, Sequence[str]]:
    query: dict[str, list[str]] = {}
    if text.count("&") >= PARAMETERS_LIMIT:
        return query  # `Request.check` reports it
    for key, value in parse_qsl(text, keep_blank_values=True):
        query.setdefault(key, []).append(value)
    return query


def _text(value: object) -> str:
    """Return a value of the envelope as the text that a query has for it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else ""


def _last_of(text: str) -> str:
    """Return the last content type of a list in a header.

    A comma inside quotes does not separate, nor one that no type follows: browsers name codecs
    without quotes, `video/webm;codecs=vp8,opus`.
    """
    start, quoted = 0, False
    for index, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted and _TYPE.match(text, index + 1):
            start = index + 1
    return text[start:].strip(" \t,")
