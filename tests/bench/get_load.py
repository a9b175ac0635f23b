"""GET requests per second: by wrk if it is installed, otherwise by a client in its own process.

python -m tests.bench.get_load PORT PATH TOKEN SECONDS ACCEPT
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import cast

import uvloop
from typing_extensions import override

from tests.bench.http_load import Endpoint, MeasurementError

CONNECTIONS = 16


def generator_name() -> str:
    """Return the name of the client that `gets` uses."""
    return "wrk" if shutil.which("wrk") else "an asyncio client of its own (wrk is not installed)"


@dataclass(frozen=True, slots=True)
class Gets:
    """The number of answers, in all and per second."""

    count: int
    per_second: float


def gets(endpoint: Endpoint, path: str, seconds: int, accept: str = "application/json") -> Gets:
    """Return the answers to 16 connections in a time; each repeats its request immediately.

    Raises:
        MeasurementError: a request failed.
    """
    if shutil.which("wrk"):
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
        command += ["-H", f"X-Auth-Token: {endpoint.token}", "-H", f"Accept: {accept}"]
        command += [f"http://127.0.0.1:{endpoint.port}{path}"]
    else:
        command = [sys.executable, "-m", "tests.bench.get_load"]
        command += [str(endpoint.port), path, endpoint.token, str(seconds), accept]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"(\d+) requests in .*Requests/sec:\s*([\d.]+)", done.stdout, re.DOTALL)
    if done.returncode or found is None or "Non-2xx" in done.stdout:
        raise MeasurementError(f"GET {path}: {done.stdout[-300:]}{done.stderr[-300:]}")
    return Gets(int(found[1]), float(found[2]))


class _Asking(asyncio.Protocol):
    """One keep-alive connection that repeats a request until the deadline."""

    def __init__(self, request: bytes, deadline: float) -> None:
        self.answers = 0
        self.failure: str | None = None
        self.ended = asyncio.get_running_loop().create_future()
        self._request = request
        self._deadline = deadline
        self._received = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(
            "asyncio.Transport", transport
        )  # uvloop's transports have no such base class
        self._transport.write(self._request)

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length is None or not head.startswith(b"HTTP/1.1 200"):
            self._end(f"unexpected answer: {head[:200]!r}")
        elif len(body) >= int(length[1]):
            self._received = b""
            self.answers += 1
            if time.perf_counter() >= self._deadline:
                self._end(None)
            else:
                self._transport.write(self._request)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self._end("the connection was closed")

    def _end(self, failure: str | None) -> None:
        self.failure = failure
        self.ended.set_result(None)
        self._transport.close()


async def _run(port: int, path: str, token: str, seconds: float, accept: str) -> None:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n"
        f"X-Auth-Token: {token}\r\n\r\n"
    ).encode()
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    clients = [_Asking(request, started + seconds) for _ in range(CONNECTIONS)]
    for client in clients:
        await loop.create_connection(lambda c=client: c, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*(client.ended for client in clients))
    failures = [client.failure for client in clients if client.failure]
    if failures:
        sys.exit(failures[0])
    total = sum(client.answers for client in clients)
    elapsed_s = time.perf_counter() - started
    print(f"{total} requests in {elapsed_s:.2f}s\nRequests/sec: {total / elapsed_s:.1f}")


if __name__ == "__main__":
    _port, _path, _token, _seconds, _accept = sys.argv[1:]
    uvloop.run(_run(int(_port), _path, _token, float(_seconds), _accept))
