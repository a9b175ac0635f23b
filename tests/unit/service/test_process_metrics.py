"""What is published of processes and the disk."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry

from kazoo_media.service.process_metrics import Process, ProcessCollector


def test_memory_restarts_and_the_disk_are_published(tmp_path: Path) -> None:
    processes = [Process("here", os.getpid(), 2), Process("gone", None, 3)]
    registry = CollectorRegistry()
    registry.register(ProcessCollector(tmp_path, lambda: processes))

    def value(name: str, process: str = "") -> float | None:
        labels = {"process": process} if process else {}
        return registry.get_sample_value(f"kazoo_media_{name}", labels)

    assert (value("process_memory_bytes", "here") or 0) > 10 << 20
    assert value("process_memory_bytes", "gone") is None
    assert value("process_restarts_total", "here") == 2
    assert value("process_restarts_total", "gone") == 3
    free, size = value("disk_free_bytes"), value("disk_size_bytes")
    assert free is not None
    assert size is not None
    assert 0 < free < size
