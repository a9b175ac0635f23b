"""Recordings in real time, beside the tus server of its authors."""

from __future__ import annotations

from tests.bench.recordings.running import measured, measured_tus
from tests.bench.services import Services
from tests.bench.table import Better, Contest, Line, Sample

_STREAMS = 200
_SECONDS = 10


class Recordings:
    """The contest: the processor time of a second of a recording."""

    def __init__(self, services: Services) -> None:
        """Keep the sides."""
        self._services = services

    def contest(self) -> Contest:
        """Return the contest."""
        title = f"{_STREAMS} recordings: processor time of a second"
        line = Line(title, "us", "us", Better.LESS, 2, peer="tus")
        return Contest("recordings", {"ours": self._ours, "tus": self._tus}, [line], warm_up=False)

    def _ours(self) -> Sample:
        cost = measured(self._services.plain, _STREAMS, _SECONDS)
        return {"us": (cost.worker_cores + cost.envoy_cores) / _STREAMS * 1e6}

    def _tus(self) -> Sample:
        pid, port = self._services.tus
        return {"us": measured_tus(pid, port, _STREAMS, _SECONDS) / _STREAMS * 1e6}
