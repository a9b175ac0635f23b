"""GET of one document and of a list at full speed."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.get_load import CONNECTIONS, gets
from tests.bench.http_load import Endpoint, create_media
from tests.bench.services import Services
from tests.bench.table import Better, Contest, Line, Sample
from tests.bench.usage import processor_us

_SECONDS = 3
_LISTED = 50
"""Number of documents in a list: the default page size."""


@dataclass(frozen=True, slots=True)
class _Side:
    """One side: its endpoint and the processes whose CPU time counts."""

    endpoint: Endpoint
    worker_pids: list[int]
    envoy_pid: int

    def get(self, path: str) -> Sample:
        """Return the answers per second and the CPU time of each answer."""
        workers, envoy = self._worker_us(), processor_us(self.envoy_pid)
        done = gets(self.endpoint, path, _SECONDS)
        return {
            "per_s": done.per_second,
            "worker_us": (self._worker_us() - workers) / done.count,
            "envoy_us": (processor_us(self.envoy_pid) - envoy) / done.count,
        }

    def _worker_us(self) -> float:
        return sum(map(processor_us, self.worker_pids))


class Metadata:
    """The contests; each side has one page of documents."""

    def __init__(self, services: Services) -> None:
        """Keep the sides."""
        self._services = services
        self._media_ids: dict[int, str] = {}

    def contests(self) -> list[Contest]:
        """Return the contests."""
        document = Contest(
            "metadata",
            {
                "ours": lambda: self._document(self._ours()),
                "starlette": lambda: self._document(self._peer()),
            },
            _lines("GET metadata", requests=0.5),
        )
        a_list = Contest(
            "lists",
            {
                "ours": lambda: self._list(self._ours()),
                "starlette": lambda: self._list(self._peer()),
            },
            _lines(f"GET a list of {_LISTED}", worker=0.7),
        )
        return [document, a_list]

    def _ours(self) -> _Side:
        ours = self._services.plain
        return _Side(ours.endpoint, ours.worker_pids, ours.envoy_pid)

    def _peer(self) -> _Side:
        peers = self._services.peers
        return _Side(peers.endpoint, [peers.worker_pid], peers.envoy_pid)

    def _document(self, side: _Side) -> Sample:
        return side.get(f"{side.endpoint.media_path}/{self._media_id(side.endpoint)}")

    def _list(self, side: _Side) -> Sample:
        self._media_id(side.endpoint)
        return side.get(side.endpoint.media_path)

    def _media_id(self, endpoint: Endpoint) -> str:
        """Return the id of a document; the first call creates a page of them."""
        if endpoint.port not in self._media_ids:
            for _ in range(_LISTED):
                self._media_ids[endpoint.port] = create_media(endpoint)
        return self._media_ids[endpoint.port]


def _lines(title: str, *, requests: float | None = None, worker: float | None = None) -> list[Line]:
    """Return the lines with the marks of requests a second and of the worker's time."""
    return [
        Line(f"{title}, {CONNECTIONS} connections", "per_s", "/s", Better.MORE, requests),
        Line(f"{title}: processor time, worker", "worker_us", "us", Better.LESS, worker),
        Line(f"{title}: processor time, Envoy", "envoy_us", "us", Better.LESS),
    ]
