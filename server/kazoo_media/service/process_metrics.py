"""The processes and the disk of one node, as metrics."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from kazoo_media.service.child import Child

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """One process.

    Attributes:
        pid: None while it does not run.
        restarts: How often it was started again.
    """

    name: str
    pid: int | None
    restarts: int = 0


class ProcessCollector(Collector):
    """Looks at processes and a folder whenever the metrics are asked for."""

    def __init__(self, folder: Path, processes: Callable[[], Iterable[Process]]) -> None:
        """Watch these.

        Args:
            folder: The data folder.
            processes: Returns those that run now, each with another name.
        """
        self._folder = folder
        self._processes = processes

    @override
    def collect(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily(
            "kazoo_media_process_memory_bytes",
            "Resident memory of a process, without the programs that it runs.",
            labels=("process",),
        )
        restarts = CounterMetricFamily(
            "kazoo_media_process_restarts",
            "How often a process has ended and was started again.",
            labels=("process",),
        )
        for each in self._processes():
            resident = _resident_bytes(each.pid)
            if resident is not None:
                memory.add_metric((each.name,), resident)
            restarts.add_metric((each.name,), each.restarts)
        yield memory
        yield restarts
        disk = os.statvfs(self._folder)
        yield GaugeMetricFamily(
            "kazoo_media_disk_size_bytes",
            "Size of the disk of the data folder.",
            disk.f_blocks * disk.f_frsize,
        )
        yield GaugeMetricFamily(
            "kazoo_media_disk_free_bytes",
            "Bytes of the disk of the data folder that the service may still use.",
            disk.f_bavail * disk.f_frsize,
        )


def supervised(children: Iterable[Child]) -> list[Process]:
    """Return this process, which supervises, and its children."""
    found = [Process(each.name, each.pid, each.restarts) for each in children]
    return [Process("supervisor", os.getpid()), *found]


def alone() -> list[Process]:
    """Return this process, a worker without a supervisor."""
    return [Process("worker-0", os.getpid())]


def _resident_bytes(pid: int | None) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:  # it has just ended, or this system has no /proc
        return None
