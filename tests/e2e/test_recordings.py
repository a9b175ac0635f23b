"""Recordings of the built product, whose workers and whose service end meanwhile."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import grpc
import pytest

from kazoo_media.v1 import media_service_pb2 as media_pb
from kazoo_media.v1 import upload_service_pb2 as pb
from kazoo_media.v1.media_pb2 import MEDIA_SOURCE_RECORDING, Media
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from kazoo_media.v1.upload_service_pb2_grpc import UploadServiceStub
from tests.contract.recording_driver import audio
from tests.contract.recording_promises import samples_of
from tests.e2e.clients import Tenant
from tests.e2e.shell import Shell
from tests.rpc.service import refusal_of
from tests.support.audio_samples import tone
from tests.support.product import Product, wait_until

pytestmark = pytest.mark.e2e

_SPEC = pb.UploadSpec(
    media=Media(name="call"),
    raw=pb.RawAudio(encoding=pb.RAW_ENCODING_MULAW, sample_rate_hertz=8000, channel_count=1),
)


class _Recorder:
    """One stream of a recorder that waits for every answer."""

    def __init__(self, tenant: Tenant) -> None:
        header = pb.AppendUploadRequest.Header(
            account_id=tenant.account_id, upload_id="call", spec=_SPEC
        )
        self._messages: queue.SimpleQueue[pb.AppendUploadRequest | None] = queue.SimpleQueue()
        self._messages.put(pb.AppendUploadRequest(header=header))
        stub: Any = UploadServiceStub(tenant.channel)
        self._call = stub.AppendUpload(self._sent(), metadata=tenant.metadata)
        self.persisted_size = next(self._call).persisted_size

    def _sent(self) -> Iterator[pb.AppendUploadRequest]:
        while (message := self._messages.get()) is not None:
            yield message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._messages.put(None)
        self._call.cancel()

    def send(self, data: bytes, *, flush: bool = False) -> None:
        message = pb.AppendUploadRequest(write_offset=self.persisted_size, data=data, flush=flush)
        self._messages.put(message)

    def append(self, data: bytes) -> None:
        """Send bytes and return when they are durable."""
        self.send(data, flush=True)
        end = self.persisted_size + len(data)
        while self.persisted_size < end:
            self.persisted_size = next(self._call).persisted_size

    def end_of_stream(self) -> grpc.RpcError:
        """Return the status of a stream that is ended by the service."""
        try:
            for answer in self._call:
                self.persisted_size = answer.persisted_size
        except grpc.RpcError as error:
            return error
        raise AssertionError("the stream ended without an error")

    def finish(self) -> Media:
        finish = pb.AppendUploadRequest.Finish(size_bytes=self.persisted_size)
        self._messages.put(pb.AppendUploadRequest(finish=finish))
        self._messages.put(None)
        media: Media = list(self._call)[-1].media
        return media


def _returned(tenant: Tenant) -> _Recorder:
    """Return a recorder that tries until a worker takes it."""
    found: list[_Recorder] = []

    def is_taken() -> bool:
        try:
            found.append(_Recorder(tenant))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        return bool(found)

    wait_until(is_taken, "a worker takes the recorder")
    return found[0]


def _worker_of(tenant: Tenant) -> int:
    """Return the process that the recorder is connected to."""
    stub: Any = UploadServiceStub(tenant.channel)
    request = pb.GetUploadRequest(account_id=tenant.account_id, upload_id="call")
    upload = stub.GetUpload(request, metadata=tenant.metadata).upload
    return int(upload.holder.rpartition(":")[2])


def test_a_recording_outlives_its_workers_and_the_service(tmp_path: Path) -> None:
    data = audio(10_000)
    heard = tmp_path / "heard.wav"
    product = Product(tmp_path, workers="2", drain_s="300")
    with product, Tenant.log_in(product) as tenant:
        with _Recorder(tenant) as recorder:
            recorder.append(data[:2000])
            tail = _followed(Shell(product.data_dir, tmp_path), heard)
            os.kill(_worker_of(tenant), signal.SIGKILL)
            assert not refusal_of(recorder.end_of_stream()).info.reason  # nobody could say
        with _returned(tenant) as recorder:
            assert recorder.persisted_size == 2000
            recorder.append(data[2000:4000])
            recorder.send(data[4000:5000])
            os.kill(_worker_of(tenant), signal.SIGTERM)
            assert refusal_of(recorder.end_of_stream()).info.reason == "DRAINING"
            drained = recorder.persisted_size
        with _returned(tenant) as recorder:
            assert recorder.persisted_size == drained
            recorder.append(data[drained:6000])
            recorder.send(data[6000:7000])
            wait_until(lambda: heard.stat().st_size > 6000, "the tail has come back")
            assert product.stop() == 0  # much earlier than after the time to drain
            assert refusal_of(recorder.end_of_stream()).info.reason == "DRAINING"
            drained = recorder.persisted_size
    with product, Tenant.log_in(product) as tenant, _Recorder(tenant) as recorder:
        assert recorder.persisted_size == drained
        recorder.append(data[drained:8000])
        product.kill()
    with product, Tenant.log_in(product) as tenant:
        with _Recorder(tenant) as recorder:
            assert recorder.persisted_size == 8000
            recorder.append(data[8000:])
            media = recorder.finish()
        assert samples_of(_download(tenant, media)) == data
        assert tail.wait(30) == 0
        assert heard.read_bytes().partition(b"data")[2][4:] == data
        _check_lists(tenant, media)
        _check_that_files_are_listed(tenant)


def _followed(shell: Shell, path: Path) -> subprocess.Popen[bytes]:
    """Return `kazoo-media tail`, which has begun to write to a file."""
    command = [sys.executable, "-m", "kazoo_media", "tail", "call"]
    with path.open("wb") as output:
        tail = subprocess.Popen(command, env=shell.environment, stdout=output)
    wait_until(lambda: path.stat().st_size > 0, "the tail is written")
    return tail


def _download(tenant: Tenant, media: Media) -> bytes:
    stub: Any = MediaServiceStub(tenant.channel)
    request = media_pb.DownloadContentRequest(account_id=tenant.account_id, media_id=media.id)
    call = stub.DownloadContent(request, metadata=tenant.metadata)
    return b"".join(message.data for message in call)


def _check_lists(tenant: Tenant, media: Media) -> None:
    """Check that only typed lists have recordings."""
    stub: Any = MediaServiceStub(tenant.channel)
    request = media_pb.ListMediaRequest(
        account_id=tenant.account_id, media_source=MEDIA_SOURCE_RECORDING
    )
    listed = stub.ListMedia(request, metadata=tenant.metadata).media
    assert [each.id for each in listed] == [media.id]
    headers = {"x-auth-token": tenant.token}
    for path in ("", "/languages"):
        answer = tenant.http.get(tenant.path() + path, headers=headers)
        assert answer.json()["data"] == []


def _check_that_files_are_listed(tenant: Tenant) -> None:
    """Check that the list of uploads also has what came as a whole file over HTTP."""
    path = f"/recordings/{tenant.account_id}/file.wav"
    headers = {"x-auth-token": tenant.token, "content-type": "audio/wav"}
    assert tenant.http.put(path, content=tone(0.1), headers=headers).status_code == 201
    stub: Any = UploadServiceStub(tenant.channel)
    request = pb.ListUploadsRequest(account_id=tenant.account_id)
    listed = stub.ListUploads(request, metadata=tenant.metadata).uploads
    assert {each.spec.media.name for each in listed} == {"call", "file.wav"}
