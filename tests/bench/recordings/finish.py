"""The end of a recording: from its finish to the answer, beside a copy of its bytes."""

from __future__ import annotations

import os
import queue
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import grpc

from kazoo_media.v1.upload_service_pb2 import RAW_ENCODING_LINEAR16, AppendUploadRequest
from kazoo_media.v1.upload_service_pb2_grpc import UploadServiceStub
from tests.bench.http_load import Endpoint, MeasurementError, ask
from tests.bench.recordings.header import new_header
from tests.bench.services import Running

_MESSAGE_BYTES = 1024 * 1024


def finish_s(service: Running, audio: Path, *, normalizes: bool) -> float:
    """Return the seconds from the finish of a recording, all of it durable, to its answer.

    Args:
        service: Keeps the recording.
        audio: Raw LINEAR16 of 8 kHz, mono.
        normalizes: Whether the service converts the recording afterwards; that is waited for.

    Raises:
        MeasurementError: it did not become a recording.
    """
    header = new_header(service.endpoint.account_id, RAW_ENCODING_LINEAR16)
    messages: queue.SimpleQueue[AppendUploadRequest | None] = queue.SimpleQueue()
    messages.put(AppendUploadRequest(header=header))
    size = 0
    with audio.open("rb") as source:
        while data := source.read(_MESSAGE_BYTES):
            messages.put(AppendUploadRequest(write_offset=size, data=data))
            size += len(data)
    metadata = (("authorization", f"Bearer {service.endpoint.token}"),)
    with grpc.insecure_channel(service.grpc_target) as channel:
        sent: Iterator[AppendUploadRequest] = iter(messages.get, None)
        answers = UploadServiceStub(channel).AppendUpload(sent, metadata=metadata)
        for answer in answers:
            if answer.persisted_size == size:
                break
        os.sync()
        started = time.perf_counter()
        messages.put(AppendUploadRequest(finish=AppendUploadRequest.Finish(size_bytes=size)))
        messages.put(None)
        for answer in answers:
            if answer.HasField("media"):
                taken_s = time.perf_counter() - started
                if normalizes:
                    _await_conversion(service.endpoint, answer.media.id)
                return taken_s
    raise MeasurementError("a recording was not finished")


def _await_conversion(endpoint: Endpoint, media_id: str) -> None:
    path = f"{endpoint.media_path}/{media_id}"
    while ask(endpoint, "GET", path)["data"]["content_type"] != "audio/mpeg":
        time.sleep(0.1)


def copy_s(audio: Path, copy: Path) -> float:
    """Return the seconds that a durable copy of the bytes takes."""
    os.sync()
    started = time.perf_counter()
    with audio.open("rb") as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target, _MESSAGE_BYTES)
        os.fsync(target.fileno())
    return time.perf_counter() - started
