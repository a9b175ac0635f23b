"""Recordings that run for a while: what they cost, and how late their bytes are safe."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from kazoo_media.v1.account_service_pb2 import CreateAccountRequest
from kazoo_media.v1.account_service_pb2_grpc import AccountServiceStub
from kazoo_media.v1.upload_service_pb2 import FinishUploadRequest, ListUploadsRequest
from kazoo_media.v1.upload_service_pb2_grpc import UploadServiceStub
from tests.bench.http_load import MeasurementError
from tests.bench.memory import PeakMemory
from tests.bench.services import Running
from tests.bench.usage import processor_us

_STOP_S = 60
_STREAMS_OF_AN_ACCOUNT = 1000


@dataclass(frozen=True, slots=True)
class Cost:
    """What a number of recordings took.

    Attributes:
        worker_cores, envoy_cores: Processor time a second.
        memory_mb: Peak of worker and Envoy together, resident.
        median_s, p99_s: From a byte on the wire to its acknowledgement.
    """

    worker_cores: float
    envoy_cores: float
    memory_mb: float
    median_s: float
    p99_s: float


def measured(service: Running, streams: int, seconds: float) -> Cost:
    """Return what so many recordings take of the product, its Envoy included.

    Raises:
        MeasurementError: a recording ended, or none was acknowledged.
    """
    with recording(service, streams, seconds) as load:
        workers, envoy = (
            sum(map(processor_us, service.worker_pids)),
            processor_us(service.envoy_pid),
        )
        with PeakMemory(service.worker_pids, service.envoy_pid) as memory:
            found = load.result()
        worker_us = sum(map(processor_us, service.worker_pids)) - workers
        envoy_us = processor_us(service.envoy_pid) - envoy
    return Cost(
        worker_us / seconds / 1e6,
        envoy_us / seconds / 1e6,
        memory.peak.total,
        found["median_s"],
        found["p99_s"],
    )


def measured_tus(pid: int, port: int, uploads: int, seconds: float) -> float:
    """Return the cores that so many resumable uploads take of a process.

    Raises:
        MeasurementError: an upload failed.
    """
    command = ["tests.bench.recordings.tus_load", str(port), str(uploads), str(seconds)]
    with _loading(command) as load:
        before = processor_us(pid)
        load.result()
        return (processor_us(pid) - before) / seconds / 1e6


class Load:
    """A process that runs uploads."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def await_start(self) -> None:
        """Return when all uploads run."""
        self._line()

    def result(self) -> dict[str, float]:
        """Return what was measured, at its end.

        Raises:
            MeasurementError: an upload failed, or nothing was acknowledged.
        """
        found = json.loads(self._line())
        if found["failures"] or not found["count"]:
            raise MeasurementError(f"the uploads failed: {found}")
        return dict(found)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise MeasurementError(f"the uploads ended: {self._process.stderr.read()[-500:]}")
        return line


@contextmanager
def recording(service: Running, streams: int, seconds: float) -> Iterator[Load]:
    """Give so many recordings that run; they are discarded on exit."""
    port = service.grpc_target.rpartition(":")[2]
    metadata = (("authorization", f"Bearer {service.endpoint.token}"),)
    with grpc.insecure_channel(service.grpc_target) as channel:
        accounts = AccountServiceStub(channel)
        account_ids = [
            accounts.CreateAccount(
                CreateAccountRequest(name=f"bench {secrets.token_hex(4)}"), metadata=metadata
            ).account.id
            for _ in range(0, streams, _STREAMS_OF_AN_ACCOUNT)
        ]
        command = ["tests.bench.recordings.load", port, ",".join(account_ids)]
        command += [service.endpoint.token, str(streams), str(seconds)]
        with _loading(command) as load:
            yield load
        for account_id in account_ids:
            _discard_all(UploadServiceStub(channel), account_id, metadata)


def _discard_all(
    uploads: UploadServiceStub, account_id: str, metadata: tuple[tuple[str, str], ...]
) -> None:
    request = ListUploadsRequest(account_id=account_id, page_size=1000)
    for each in uploads.ListUploads(request, metadata=metadata).uploads:
        discard = FinishUploadRequest(
            account_id=account_id, upload_id=each.upload_id, end=FinishUploadRequest.END_DISCARD
        )
        uploads.FinishUpload(discard, metadata=metadata)


@contextmanager
def _loading(command: Sequence[str]) -> Iterator[Load]:
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        load = Load(process)
        load.await_start()
        yield load
    finally:
        process.terminate()
        process.communicate(timeout=_STOP_S)
