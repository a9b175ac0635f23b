"""The metrics of the workers, published with prometheus-client.

Theory of operation:

1. Behind the gateway each worker writes its numbers into files in a folder of the run, which it
   maps into memory; the supervisor reads them when it is asked. A kill of a worker loses nothing.
2. The files are named after the worker's index. A worker that is started again continues them, so
   counters never go back and no files accumulate.
3. Queues end with their worker: the supervisor removes the file of their lengths (`forget_worker`).
4. A standalone worker keeps its numbers in its own memory.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from typing_extensions import override

from kazoo_media.metrics import Metrics

_SYNC_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_WAIT_S = (0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300)
_TIMED = [
    ("metadata", "read"),
    ("metadata", "write"),
    ("blobs", "open"),
    ("blobs", "read"),
    ("blobs", "publish"),
    ("blobs", "delete"),
]
_UNTIMED = [("blobs", "write"), ("blobs", "list")]
"""A write ends when there is room for the next, a listing when all of it is used."""

_STORE_FAILURES = ("STORE_UNAVAILABLE", "STORAGE_FULL")


class PrometheusMetrics(Metrics):
    """What one worker counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "kazoo_media_requests",
            "Calls that a worker has answered, by surface, rpc and code.",
            ("surface", "rpc", "code"),
            registry=registry,
        )
        self._known_calls: dict[tuple[str, str, str], Counter] = {}
        audio = Counter(
            "kazoo_media_audio_bytes",
            "Bytes of audio from clients (in) and to clients (out).",
            ("direction",),
            registry=registry,
        )
        self._received, self._sent = audio.labels("in"), audio.labels("out")
        self._uploads = Counter(
            "kazoo_media_uploads",
            "Uploads by how they ended: STORED, CANCELLED or the reason of the error.",
            ("result",),
            registry=registry,
        )
        self._conversions = Counter(
            "kazoo_media_conversions",
            "Conversions of content by preset, back end and result.",
            ("preset", "backend", "result"),
            registry=registry,
        )
        self._queues = Gauge(
            "kazoo_media_queue_length",
            "How many wait in a queue or hold a place in it.",
            ("queue",),
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._waits = Histogram(
            "kazoo_media_queue_wait_seconds",
            "Time that work waited for its turn.",
            ("queue",),
            buckets=_WAIT_S,
            registry=registry,
        )
        self._make_store_metrics(registry)
        self._make_recording_metrics(registry)
        self._log_ins = Counter(
            "kazoo_media_log_ins_refused",
            "Refused log-ins by way and reason.",
            ("way", "reason"),
            registry=registry,
        )
        self._sweeps = Counter(
            "kazoo_media_sweeps", "Sweeps by result.", ("result",), registry=registry
        )
        self._swept = Counter(
            "kazoo_media_swept_blobs",
            "Blobs that sweeps expired, removed or failed to remove.",
            ("result",),
            registry=registry,
        )

    def _make_store_metrics(self, registry: CollectorRegistry) -> None:
        self._damage = Counter(
            "kazoo_media_damaged_blobs",
            "Stored audio that was found damaged.",
            registry=registry,
        )
        self._commits = Histogram(
            "kazoo_media_commit_seconds",
            "Time of the COMMIT of a metadata transaction, with its fsync.",
            buckets=_SYNC_S,
            registry=registry,
        )
        self._syncs = Histogram(
            "kazoo_media_fsync_seconds",
            "Time in which the files and folders of blobs became durable.",
            buckets=_SYNC_S,
            registry=registry,
        )
        self._store_errors = Counter(
            "kazoo_media_store_errors",
            "Failures of the metadata store and the blob store by reason.",
            ("store", "operation", "reason"),
            registry=registry,
        )
        store_seconds = Histogram(
            "kazoo_media_store_seconds",
            "Time of operations of the metadata store and the blob store that did not fail.",
            ("store", "operation"),
            buckets=_SYNC_S,
            registry=registry,
        )
        self._store_seconds = {each: store_seconds.labels(*each) for each in _TIMED}
        # The first failure is an increase only if there was a zero before.
        for store, operation in (*_TIMED, *_UNTIMED):
            for reason in _STORE_FAILURES:
                self._store_errors.labels(store, operation, reason)
        self._cache = Counter(
            "kazoo_media_blob_cache",
            "Blobs that the cache had (hit), had not (miss) or gave up (evicted).",
            ("result",),
            registry=registry,
        )
        for result in ("hit", "miss", "evicted"):
            self._cache.labels(result)

    def _make_recording_metrics(self, registry: CollectorRegistry) -> None:
        self._flushes = Histogram(
            "kazoo_media_flush_seconds",
            "Time in which what recorders have sent became durable.",
            buckets=_SYNC_S,
            registry=registry,
        )
        self._pieces = Counter(
            "kazoo_media_pieces",
            "Parts of running recordings that became blobs, by result.",
            ("result",),
            registry=registry,
        )
        for result in ("stored", "failed"):
            self._pieces.labels(result)
        gauge = partial(Gauge, registry=registry)
        # What one process holds, and what the store has, which every node sees.
        held, seen = (
            partial(gauge, multiprocess_mode="livesum"),
            partial(gauge, multiprocess_mode="livemax"),
        )
        self._streams = held("kazoo_media_streams", "Streams of recorders.")
        self._held_bytes = held(
            "kazoo_media_held_bytes", "Bytes of recorders that are not durable yet."
        )
        self._open_uploads = seen(
            "kazoo_media_open_uploads", "Uploads that have not ended, of all nodes.", ("state",)
        )
        self._tail_bytes = seen(
            "kazoo_media_tail_bytes", "Bytes of open uploads in the metadata store."
        )
        self._oldest_s = seen(
            "kazoo_media_oldest_interrupted_seconds",
            "For how long the oldest interrupted upload is without a recorder.",
        )

    @classmethod
    def shared(cls, folder: Path, worker: int) -> Self:
        """Return the metrics of a worker that writes them into a folder; blocks.

        To be called once in a process.
        """
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]
        return cls(CollectorRegistry())

    @override
    def call_ended(self, surface: str, rpc: str, code: str) -> None:
        # `labels` costs twice as much as counting, and there is one call of this in each request.
        key = surface, rpc, code
        found = self._known_calls.get(key)
        if found is None:
            found = self._known_calls[key] = self._calls.labels(*key)
        found.inc()

    @override
    def received(self, size_bytes: int) -> None:
        self._received.inc(size_bytes)

    @override
    def sent(self, size_bytes: int) -> None:
        self._sent.inc(size_bytes)

    @override
    def upload_ended(self, result: str) -> None:
        self._uploads.labels(result).inc()

    @override
    def conversion_ended(self, preset: str, backend: str, result: str) -> None:
        self._conversions.labels(preset, backend, result).inc()

    @override
    def queue_changed(self, queue: str, change: int) -> None:
        self._queues.labels(queue).inc(change)

    @override
    def waited(self, queue: str, seconds: float) -> None:
        self._waits.labels(queue).observe(seconds)

    @override
    def committed(self, seconds: float) -> None:
        self._commits.observe(seconds)

    @override
    def synced(self, seconds: float) -> None:
        self._syncs.observe(seconds)

    @override
    def store_answered(self, store: str, operation: str, seconds: float) -> None:
        self._store_seconds[store, operation].observe(seconds)

    @override
    def store_failed(self, store: str, operation: str, reason: str) -> None:
        self._store_errors.labels(store, operation, reason).inc()

    @override
    def cache_used(self, result: str, blobs: int = 1) -> None:
        self._cache.labels(result).inc(blobs)

    @override
    def flushed(self, seconds: float) -> None:
        self._flushes.observe(seconds)

    @override
    def streams_held(self, streams: int, size_bytes: int) -> None:
        self._streams.set(streams)
        self._held_bytes.set(size_bytes)

    @override
    def piece_ended(self, result: str) -> None:
        self._pieces.labels(result).inc()

    @override
    def uploads_open(self, states: Mapping[str, int], tail_bytes: int, oldest_s: float) -> None:
        for state, count in states.items():
            self._open_uploads.labels(state).set(count)
        self._tail_bytes.set(tail_bytes)
        self._oldest_s.set(oldest_s)

    @override
    def log_in_refused(self, way: str, reason: str) -> None:
        self._log_ins.labels(way, reason).inc()

    @override
    def damage_found(self) -> None:
        self._damage.inc()

    @override
    def swept(self, result: str, blobs: int = 1) -> None:
        self._swept.labels(result).inc(blobs)

    @override
    def sweep_ended(self, result: str) -> None:
        self._sweeps.labels(result).inc()


def own_registry() -> CollectorRegistry:
    """Return a registry for metrics in this process's memory."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    return CollectorRegistry()


def published(registry: CollectorRegistry) -> bytes:
    """Return all metrics of a registry as Prometheus text.

    Raises:
        OSError, ValueError: the files of a worker that is just starting cannot be read.
    """
    try:
        return generate_latest(registry)
    except (struct.error, RuntimeError) as error:
        raise ValueError("the metrics of a worker are incomplete") from error


def shared_registry(folder: Path, *others: Collector) -> CollectorRegistry:
    """Return a registry that reads what all workers wrote into a folder, and what others have."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    for each in others:
        registry.register(each)
    return registry


def forget_worker(folder: Path, worker: int) -> None:
    """Remove what holds only while a worker runs. Its counters stay."""
    mark_process_dead(worker, str(folder))  # type: ignore[no-untyped-call]
