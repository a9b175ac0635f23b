"""Hostile requests, made from a seed: each is bytes, what stands in it, and how much is certain of
its answers.

Most parts of a request are well-formed most of the time, or nothing would come past the first
check.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

from tests.e2e.hostile_parts import (
    BAD_CHUNKS,
    BAD_LENGTHS,
    BROKEN_HEADS,
    HEADER_VALUES,
    HEADERS,
    METHODS,
    ODD_METHODS,
    QUERY_KEYS,
    READS,
    SCRAPS,
    SENSIBLE,
    TOKEN_KEYS,
    TYPES,
    VALUES,
)
from tests.support.audio_samples import tone

_WAV = tone(0.1)


@dataclass(frozen=True)
class World:
    """What requests are about.

    Attributes:
        reads: Paths of things that are only read, so that they are there to the end.
        writes: Method and path of what changes things that exist, and some that do not.
        tokens: A good one, and others.
        keys: API keys and digests of passwords.
    """

    reads: Sequence[str]
    writes: Sequence[tuple[str, str]]
    tokens: Sequence[str]
    keys: Sequence[str]


@dataclass(frozen=True)
class Hostile:
    """Bytes for one connection.

    Attributes:
        methods: Of each request.
        whole: Whether the bytes are whole requests, of which the last asks to close the connection:
            as many answers are due. Else none is certain.
    """

    data: bytes
    methods: tuple[str, ...]
    whole: bool


class Hostility:
    """Makes hostile requests; the same number gives the same request."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._seed = seed
        self._random = random.Random()

    def made(self, number: int) -> Hostile:
        """Return one connection's bytes."""
        self._random.seed(f"{self._seed} {number}")
        kind = self._random.random()
        if kind < 0.72:
            return self._whole(1)
        if kind < 0.80:
            return self._whole(self._random.randint(2, 5))
        return Hostile(*self._broken(kind), whole=False)

    def _whole(self, count: int) -> Hostile:
        methods, data = [], b""
        for index in range(count):
            method, request = self._request(last=index == count - 1)
            methods.append(method)
            data += request
        return Hostile(data, tuple(methods), whole=True)

    def _request(self, *, last: bool) -> tuple[str, bytes]:
        method, path = self._operation()
        headers = self._headers()
        body = self._body() if self._is(0.2) or method[0] == "P" else b""
        head, body = self._framed(body)
        version = "1.0" if last and self._is(0.05) else "1.1"
        if version == "1.0" and b"chunked" in head:
            version = "1.1"
        lines = [f"{method} {self._odd(path)}{self._query()} HTTP/{version}", "host: x", *headers]
        lines += ["connection: close"] if last else []
        return method, self._joined(lines) + head + b"\r\n" + body

    def _joined(self, lines: Sequence[str]) -> bytes:
        return b"".join(line.encode("latin-1", "replace") + b"\r\n" for line in lines)

    def _is(self, probability: float) -> bool:
        return self._random.random() < probability

    def _operation(self) -> tuple[str, str]:
        if self._is(0.4):
            return self._random.choice(READS), self._random.choice(self._world.reads)
        method, path = self._random.choice(self._world.writes)
        return self._random.choice(METHODS) if self._is(0.15) else method, path

    def _odd(self, path: str) -> str:
        while self._is(0.12):
            at = self._random.randint(1, len(path))
            path = path[:at] + self._random.choice(SCRAPS) + path[at:]
        return path

    def _query(self) -> str:
        pairs = []
        while self._is(0.45):
            key, value = self._random.choice(QUERY_KEYS), self._random.choice(VALUES)
            quoted = quote_from_bytes(value.encode(), safe="") if self._is(0.8) else "%" + key
            pairs.append(f"{key}={quoted}")
        if self._is(0.15):
            key = self._random.choice(TOKEN_KEYS)
            pairs.append(f"{key}={self._random.choice(self._world.tokens)}")
        if self._is(0.02):
            secret = self._random.choice(self._world.keys)
            pairs.append(f"{self._random.choice(('api_key', 'credentials', 'password'))}={secret}")
        self._random.shuffle(pairs)
        return "?" + self._random.choice("&&&&?;").join(pairs) if pairs else ""

    def _headers(self) -> list[str]:
        headers = []
        if self._is(0.9):
            headers.append(f"x-auth-token: {self._token()}")
        if self._is(0.1):
            headers.append(f"authorization: Bearer {self._token()}")
        if self._is(0.5):
            headers.append(f"content-type: {self._random.choice(TYPES)}")
        while self._is(0.3):
            headers.append(self._random.choice(SENSIBLE))
        while self._is(0.3):
            name, value = self._random.choice(HEADERS), self._random.choice(HEADER_VALUES)
            headers.append(f"{name}: {value}")
        if self._is(0.01):
            headers.append("x-long: " + "a" * self._random.randint(10_000, 90_000))
        if self._is(0.01):
            headers += [f"x-{number}: {number}" for number in range(self._random.randint(50, 150))]
        return headers

    def _token(self) -> str:
        good, *others = self._world.tokens
        return good if self._is(0.9) else self._random.choice(others)

    def _framed(self, body: bytes) -> tuple[bytes, bytes]:
        """Return the header that says how long the body is, and the body."""
        if not body and self._is(0.7):
            return b"", b""
        if self._is(0.75):
            return b"content-length: %d\r\n" % len(body), body
        chunked = b""
        while body:
            size = self._random.randint(1, max(1, len(body)))
            extension = b";a=b" if self._is(0.1) else b""
            chunked += b"%x%s\r\n%s\r\n" % (size, extension, body[:size])
            body = body[size:]
        trailer = b"x-trailer: y\r\n" if self._is(0.1) else b""
        return b"transfer-encoding: chunked\r\n", chunked + b"0\r\n" + trailer + b"\r\n"

    def _body(self) -> bytes:
        others = (self._audio, self._base64, self._form, self._noise)
        made = self._json() if self._is(0.6) else self._random.choice(others)()
        while self._is(0.15):
            made = self._mutated(made)
        return made

    def _mutated(self, body: bytes) -> bytes:
        at = self._random.randint(0, len(body))
        scrap = self._random.choice(
            (b"", b"\0", b"\xff", b'"', b"}", b",", b"\\ud800", b"{", b"[" * 99)
        )
        return body[:at] + scrap + body[at + self._random.choice((0, 0, 1, 10, 10_000)) :]

    def _json(self) -> bytes:
        data: dict[str, object] = {"name": "x"} if self._is(0.8) else {}
        for key in ("id", "language", "prompt_id", "description", "content_type", "source_id"):
            if self._is(0.08):
                data[key] = self._value()
        if self._is(0.1):
            data["tts"] = {"voice": self._value()}
        while self._is(0.3):
            data["".join(self._random.choices(string.printable, k=4))] = self._value()
        envelope: dict[str, object] = {"data": data if self._is(0.9) else self._value()}
        if self._is(0.1):
            envelope["auth_token"] = self._token()
        if self._is(0.25):
            data["api_key"] = data["credentials"] = self._random.choice(self._world.keys)
            data["account_name"] = self._value()
        if self._is(0.1):
            envelope[self._random.choice(QUERY_KEYS)] = self._value()
        return json.dumps(envelope, ensure_ascii=self._is(0.5)).encode("utf-8", "surrogatepass")

    def _value(self) -> object:
        odd: tuple[object, ...] = (
            None,
            True,
            1.5,
            -0.0,
            10**30,
            1e308,
            float("nan"),
            [],
            {},
            [[[{}]]],
            "\ud800",
            2**63,
        )
        return self._random.choice((*VALUES, *odd, {"a": {"b": None}}, ["a"] * 50))

    def _audio(self) -> bytes:
        whole = self._random.choice((_WAV, b"\xff\xfb\x90\x00" + bytes(413), b"OggS" + bytes(90)))
        return whole[: self._random.randint(0, len(whole))] if self._is(0.3) else whole

    def _base64(self) -> bytes:
        text = base64.b64encode(self._audio())
        start = self._random.choice(
            (b"", b"data:audio/wav;base64,", b'"data:audio\\/wav;base64,', b"data:")
        )
        return start + text

    def _form(self) -> bytes:
        if self._is(0.3):
            return b"data=%s&name=x&verb=%%zz" % self._noise()[:20]
        disposition = b'content-disposition: form-data; name="f"; filename="a.wav"'
        head = self._random.choice((disposition, b"content-type: audio/wav", b"a:b", b":", b""))
        end = self._random.choice((b"\r\n--b--\r\n", b"\r\n--b", b"--", b""))
        return b"--b\r\n" + head + b"\r\n\r\n" + self._audio() + end

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randint(0, 2000))

    def _broken(self, kind: float) -> tuple[bytes, tuple[str, ...]]:
        """Return what is no request, or not a whole one, and its method."""
        if kind < 0.84:
            return self._random.choice(BROKEN_HEADS) + (self._noise() if self._is(0.2) else b""), ()
        if kind < 0.88:
            method, request = self._request(last=True)
            return request[: self._random.randint(0, len(request))], (method,)
        if kind < 0.90:
            return b"\0" + self._noise(), ()
        method = self._random.choice((*ODD_METHODS, "PUT", "POST"))
        target = f"{self._odd(self._operation()[1])}{self._query()}"
        lines = [f"{method} {target} HTTP/1.1", "host: x", *self._headers()]
        if kind < 0.94:
            length = self._random.choice((*BAD_LENGTHS, "5", "50000"))
            request = self._joined([*lines, f"content-length: {length}"]) + b"\r\n" + self._body()
        elif kind < 0.98:
            encoding = self._random.choice(("chunked", "chunked", "gzip", "chunked, chunked", "x"))
            more = ["content-length: 3"] if self._is(0.2) else []
            head = self._joined([*lines, f"transfer-encoding: {encoding}", *more])
            request = head + b"\r\n" + self._random.choice(BAD_CHUNKS)
        else:
            request = (
                self._joined([f"{method} {target}\xff\x01 {self._noise()!r}", *lines]) + b"\r\n"
            )
        return request, (method,)
