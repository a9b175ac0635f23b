"""GET of one document and of a list of them, as often as it goes."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from tests.bench.get_load import CONNECTIONS, gets
from tests.bench.http_load import Endpoint, create_media
from tests.bench.services import Services
from tests.bench.table import Better, Contest, Line, Sample

_SECONDS = 3
_LISTED = 50
"""Documents of a list: a page, unless asked for otherwise."""


@dataclass(frozen=True, slots=True)
class _Side:
    """Who answers, and what that costs."""

    endpoint: Endpoint
    worker_pids: list[int]
    envoy_pid: int

    def get(self, path: str) -> Sample:
        """Return how many answers a second there are, and the processor time of each."""
        workers, envoy = self._worker_us(), _processor_us(self.envoy_pid)
        done = gets(self.endpoint, path, _SECONDS)
        return {
            "per_s": done.per_second,
            "worker_us": (self._worker_us() - workers) / done.count,
            "envoy_us": (_processor_us(self.envoy_pid) - envoy) / done.count,
        }

    def _worker_us(self) -> float:
        return sum(map(_processor_us, self.worker_pids))


class Metadata:
    """The contests; each side has as many documents as a list shows."""

    def __init__(self, services: Services) -> None:
        """Keep the sides."""
        self._services = services
        self._media_ids: dict[int, str] = {}

    def contests(self) -> list[Contest]:
        """Return them."""
        document = Contest(
            "metadata",
            {
                "ours": lambda: self._document(self._ours()),
                "starlette": lambda: self._document(self._peer()),
            },
            _lines("GET metadata", 0.25),
        )
        a_list = Contest(
            "lists",
            {
                "ours": lambda: self._list(self._ours()),
                "starlette": lambda: self._list(self._peer()),
            },
            _lines(f"GET a list of {_LISTED}", None),
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
        """Return the id of a document; the first time, create all that a list shows."""
        if endpoint.port not in self._media_ids:
            for _ in range(_LISTED):
                self._media_ids[endpoint.port] = create_media(endpoint)
        return self._media_ids[endpoint.port]


def _lines(title: str, mark: float | None) -> list[Line]:
    return [
        Line(f"{title}, {CONNECTIONS} connections", "per_s", "/s", Better.MORE, mark),
        Line(f"{title}: processor time, worker", "worker_us", "us", Better.LESS),
        Line(f"{title}: processor time, Envoy", "envoy_us", "us", Better.LESS),
    ]


def _processor_us(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system) * 1e6
