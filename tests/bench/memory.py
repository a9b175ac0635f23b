"""Resident memory of a service while its clients are stalled."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

from tests.bench.http_load import Endpoint

STALLED_CLIENTS = 32
UPLOAD_BYTES = 16 * 1024 * 1024
_HOLD_S = 3
_TIMEOUT_S = 60
_INTERVAL_S = 0.05
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident set sizes in MB.

    Attributes:
        worker: Sum over all workers.
    """

    worker: float
    envoy: float

    @property
    def total(self) -> float:
        """Return the sum over workers and Envoy."""
        return self.worker + self.envoy


class PeakMemory:
    """Samples the memory of processes while it is open."""

    def __init__(self, worker_pids: list[int], envoy_pid: int) -> None:
        self._workers = [psutil.Process(pid) for pid in worker_pids]
        self._envoy = psutil.Process(envoy_pid)
        self._peak = Memory(0, 0)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def now(self) -> Memory:
        """Return the present sizes."""
        workers = sum(process.memory_info().rss for process in self._workers)
        return Memory(workers / _MB, self._envoy.memory_info().rss / _MB)

    @property
    def peak(self) -> Memory:
        """Return the peak of each process while this was open."""
        return self._peak

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._closing.wait(_INTERVAL_S):
            now = self.now()
            worker = max(self._peak.worker, now.worker)
            self._peak = Memory(worker, max(self._peak.envoy, now.envoy))


def stalled_uploads(endpoint: Endpoint, paths: list[str], head: bytes) -> None:
    """Send half of each upload concurrently, stall, and disconnect.

    Args:
        endpoint: The service.
        paths: The path of each upload.
        head: The first half of the declared size.
    """
    with _connections(endpoint, len(paths)) as connections:

        def send(connection: socket.socket, path: str) -> None:
            request = _head(endpoint, "POST", path)
            request += f"Content-Type: audio/x-wav\r\nContent-Length: {UPLOAD_BYTES}\r\n\r\n"
            connection.sendall(request.encode())
            connection.sendall(head)

        with ThreadPoolExecutor(len(paths)) as pool:
            list(pool.map(send, connections, paths))
        time.sleep(_HOLD_S)


def stalled_downloads(endpoint: Endpoint, path: str) -> None:
    """Request content on many connections, read nothing, and disconnect."""
    with _connections(endpoint, STALLED_CLIENTS) as connections:
        for connection in connections:
            request = _head(endpoint, "GET", path) + "Accept: audio/x-wav\r\n\r\n"
            connection.sendall(request.encode())
        time.sleep(_HOLD_S)


@contextmanager
def _connections(endpoint: Endpoint, count: int) -> Iterator[list[socket.socket]]:
    address = ("127.0.0.1", endpoint.port)
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(address, _TIMEOUT_S)) for _ in range(count)
        ]


def _head(endpoint: Endpoint, verb: str, path: str) -> str:
    return f"{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Auth-Token: {endpoint.token}\r\n"
