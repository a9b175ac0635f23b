"""Thousands of hostile requests against the whole product: none is a fault of the service."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx
import pytest
from typing_extensions import override

from tests.e2e.hostile import Hostile, Hostility, World
from tests.support.audio_samples import tone
from tests.support.product import Product, wait_until
from tests.support.repetitions import repetitions

pytestmark = pytest.mark.e2e

_SEED = int(os.environ.get("KAZOO_TEST_SEED", "20261127"))
_REQUESTS = repetitions(4_000, 20_000)
_CONNECTIONS = 24
_ANSWER_S = 25.0
"""Longer than the gateway's own limit for headers that do not arrive."""
_PEER = "127.0.0.9"
_WRONG_KEY = "5ec7e7" + "0" * 58
_PASSWORD_DIGEST = hashlib.md5(b"ann:s3cret").hexdigest()
_ALWAYS = {"data", "status", "request_id", "node", "version", "timestamp"}
_OF_ERRORS = {"message", "error", "auth_token"}
_ENDS_CONNECTIONS = {400, 408, 413, 431}


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.mark.timeout(400)
def test_hostile_requests_are_answered_well(tmp_path: Path) -> None:
    """A failure prints the seed and the number, which give the request again."""
    with Product(tmp_path, workers="2") as product, httpx.Client(base_url=product.rest_url) as http:
        token = _log_in(product, http)
        world = _world(product, http, token)
        before = {index: worker.pid for index, worker in product.workers().items()}
        print(f"KAZOO_TEST_SEED={_SEED}")
        answers = asyncio.run(_Run(product, Hostility(world, _SEED)).all())
        print(dict(sorted(answers.items())))
        assert {200, 201, 206, 304, 400, 401, 404, 405, 406, 412, 415, 431} <= set(answers)
        assert {index: worker.pid for index, worker in product.workers().items()} == before
        assert http.get(
            f"{world.reads[0]}/hold/raw", headers={"x-auth-token": token}
        ).content == tone(0.1)
        assert http.get("/healthz").status_code == 200
        _log_in(product, http)
        _check_log(product, [token, *token.split(".")[1:], product.api_key, *world.keys])


def _log_in(product: Product, http: httpx.Client) -> str:
    answer = http.put("/v2/api_auth", json={"data": {"api_key": product.api_key}})
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["auth_token"]
    return token


def _tokens(token: str) -> list[str]:
    head, claims, signature = token.split(".")
    return [token, "", "x", f"{head}.{claims}.", f"{head}.{claims}.{signature[::-1]}", "a.b.c"]


def _world(product: Product, http: httpx.Client, token: str) -> World:
    """Return the world, with the things that are in it made."""
    headers, media = {"x-auth-token": token}, f"/v2/accounts/{product.account_id}/media"
    documents = [{"id": f"m{number}", "name": "M"} for number in range(40)]
    documents += [{"prompt_id": f"vm-{name}", "language": "fr-fr", "name": "P"} for name in "abc"]
    for data in (*documents, {"id": "hold", "name": "Hold"}):
        created = http.put(media, json={"data": data}, headers=headers)
        assert created.status_code == 201, created.text
    audio = {**headers, "content-type": "audio/wav"}
    assert http.post(f"{media}/hold/raw", content=tone(0.1), headers=audio).status_code == 200
    lists = (
        "",
        "/prompts",
        "/languages",
        "/prompts/vm-a",
        "/languages/fr-fr",
        "/languages/missing",
    )
    items = [f"{media}/m{number}" for number in range(40)]
    odd = (
        "",
        "/v2",
        "/v3/x",
        "/v2//",
        "/v2/users",
        f"{media}/none/x",
        f"/v2/accounts/{'0' * 32}/media",
    )
    return World(
        [
            *(f"{media}{end}" for end in (*lists, "/hold", "/hold/raw", "/hold/raw.wav", "/none")),
            *("/v2/media", "/v2/media/prompts", "/v2/openapi.json"),
        ],
        [
            *[("PUT", media)] * 12,
            *(("POST", item + end) for item in items[::4] for end in ("", "/raw")),
            *(("PATCH", item) for item in items[::4]),
            *(("DELETE", item) for item in (*items[1::8], f"{media}/fr-fr%252Fvm-b")),
            *(("PUT", f"/v2/{name}_auth") for name in ("api", "user", "user")),
            *(("POST", f"{media}{end}") for end in ("", "/none/raw", "/fr-fr%2Fvm-a/raw.mp3")),
            *(("GET", f"/{path}") for path in odd),
        ],
        _tokens(token),
        [_WRONG_KEY, _PASSWORD_DIGEST],
    )


class _Run:
    """Sends all requests, many at once, and checks each answer."""

    def __init__(self, product: Product, hostility: Hostility) -> None:
        self._host, _, self._port = product.rest_url.removeprefix("http://").partition(":")
        self._hostility = hostility
        self._numbers = count()
        self._sent = 0
        self._statuses: Counter[int] = Counter()

    async def all(self) -> Counter[int]:
        """Return how often each status came back."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_CONNECTIONS):
                tasks.create_task(self._some())
        return self._statuses

    async def _some(self) -> None:
        while self._sent < _REQUESTS:
            number = next(self._numbers)
            hostile = self._hostility.made(number)
            self._sent += max(1, len(hostile.methods))
            received = b""
            try:
                received = await self._exchanged(hostile)
                for answer in _checked(hostile, received):
                    self._statuses[answer.status] += 1
            except Exception as error:
                error.add_note(f"KAZOO_TEST_SEED={_SEED}, number {number}")
                error.add_note(f"sent {hostile.data[:2000]!r}")
                error.add_note(f"received {received[:2000]!r}")
                raise

    async def _exchanged(self, hostile: Hostile) -> bytes:
        """Return all that comes back until the service closes the connection."""
        async with asyncio.timeout(_ANSWER_S):
            transport, received = await asyncio.get_running_loop().create_connection(
                _Received, self._host, int(self._port), local_addr=(_PEER, 0)
            )
            try:
                transport.write(hostile.data)
                if not hostile.whole:
                    await asyncio.sleep(0.01)  # an end at once would be all that is seen
                    transport.write_eof()
                await received.ended.wait()
            finally:
                transport.abort()
            return bytes(received.data)


class _Received(asyncio.Protocol):
    """What comes back on a connection. A stream's reader would lose it where a reset follows: the
    service may close with bytes of ours unread.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = asyncio.Event()

    @override
    def data_received(self, data: bytes) -> None:
        self.data += data

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


def _checked(hostile: Hostile, received: bytes) -> list[_Answer]:
    """Return the answers; none is missing, none is anything but what a client can read."""
    methods = hostile.methods
    answers = list(_answers(received, methods))
    for index, answer in enumerate(answers):
        _check(answer, (*methods, "")[min(index, len(methods))])
    if hostile.whole and len(answers) < len(methods):
        assert answers, "no answer"
        assert answers[-1].status in _ENDS_CONNECTIONS, "an answer is missing"
        assert answers[-1].headers.get("connection") == "close", "an answer is missing"
    return answers


def _answers(received: bytes, methods: tuple[str, ...]) -> Iterator[_Answer]:
    """Yield what was received, interim answers left out."""
    number = 0
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        assert end, "an answer has no end"
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split(" ")[0], int(first.split(" ")[1])
        assert version in ("HTTP/1.0", "HTTP/1.1")
        if status == 100:
            continue
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        # What the gateway can not read it answers without knowing the method.
        unread = received and headers.get("connection") == "close"
        empty = status == 304 or (methods[number : number + 1] == ("HEAD",) and not unread)
        body, received = (b"", received) if empty else _split(headers, received)
        number += 1
        yield _Answer(status, headers, body)


def _split(headers: dict[str, str], received: bytes) -> tuple[bytes, bytes]:
    """Return a body and what follows it."""
    if "content-length" in headers:
        size = int(headers["content-length"])
        assert len(received) >= size, "an answer is cut off"
        return received[:size], received[size:]
    if headers.get("transfer-encoding") != "chunked":
        return received, b""
    body = b""
    while True:
        line, end, received = received.partition(b"\r\n")
        assert end, "an answer is cut off"
        size = int(line, 16)
        body += received[:size]
        received = received[size + 2 :]
        if size == 0:
            return body, received


def _check(answer: _Answer, method: str) -> None:
    """Check that an answer is an envelope, or what else is right for what was asked."""
    assert answer.status < 500
    kind = answer.headers.get("content-type", "")
    if kind.startswith(("audio/", "video/")) or kind == "text/csv":
        assert answer.status in (200, 206, 304)
        return
    if answer.status == 304 or (method in ("HEAD", "OPTIONS") and not answer.body):
        return
    assert kind == "application/json"
    assert "content-encoding" not in answer.headers or "gzip" in answer.headers["content-encoding"]
    if "content-encoding" in answer.headers:
        return
    envelope = json.loads(answer.body)
    if "openapi" in envelope:
        return
    assert set(envelope) >= _ALWAYS
    if answer.status >= 400:
        assert set(envelope) >= _OF_ERRORS
        assert (envelope["status"], envelope["error"]) == ("error", str(answer.status))
    else:
        assert envelope["status"] == "success"


def _check_log(product: Product, secrets: list[str]) -> None:
    """Check that every line is JSON, none tells of a fault, and none has a secret."""
    after = "after-the-hostile-requests"
    httpx.get(f"{product.rest_url}/v2/none", headers={"x-request-id": after})
    wait_until(lambda: after in product.log(), "the last request is in the access log")
    for line in product.log_lines():
        told = json.dumps(line)
        assert line.get("level") not in {"error", "critical"}, told
        assert "exception" not in line, told
        assert int(str(line.get("status") or 0)) < 500, told
        assert not [secret for secret in secrets if secret in told], told
