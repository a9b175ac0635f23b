"""`kazoo-media worker --listen`: any client and any proxy, without the bundled gateway."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from kazoo_media.client import Client, Media
from kazoo_media.v1.account_service_pb2 import IssueTokenRequest
from kazoo_media.v1.account_service_pb2_grpc import AccountServiceStub
from kazoo_media.v1.media_pb2 import RENDITION_KIND_ORIGINAL
from kazoo_media.v1.media_service_pb2 import (
    CreateMediaRequest,
    DownloadContentRequest,
    UploadContentRequest,
)
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from tests.contract.upload_promises import cut, wav
from tests.e2e.clients import pending_blobs
from tests.e2e.shell import Shell
from tests.rpc.service import Tenant, upload_messages
from tests.support.certificates import Certificate, local_server
from tests.support.nginx import nginx
from tests.support.product import Product, wait_until
from tests.support.standalone import StandaloneWorker

pytestmark = pytest.mark.e2e

_AUDIO, _PREVIOUS = wav(3_000_000, seed=1), wav(50_000)
_SERVING = health_pb2.HealthCheckResponse.SERVING
_VERSIONS = ("v1", "v1alpha")


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneWorker]:
    with StandaloneWorker(tmp_path_factory.mktemp("worker")) as running:
        yield running


@pytest.fixture
def channel(worker: StandaloneWorker) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(worker.grpc_target) as opened:
        yield opened


class SyncClient:
    """A blocking client that is generated from the protos."""

    def __init__(self, product: Product, channel: grpc.Channel) -> None:
        request = IssueTokenRequest(api_key=product.api_key)
        issued = AccountServiceStub(channel).IssueToken(request, timeout=20)
        metadata = (("x-auth-token", issued.token),)
        self.tenant = Tenant(issued.account_id, product.api_key, metadata)
        self.stub: Any = MediaServiceStub(channel)

    def create(self) -> str:
        request = CreateMediaRequest(account_id=self.tenant.account_id, media=Media(name="a media"))
        made = self.stub.CreateMedia(request, metadata=self.tenant.metadata)
        return str(made.media.id)

    def upload(self, media_id: str, messages: Iterator[UploadContentRequest]) -> Any:
        """Begin an upload; its `result` is the answer."""
        return self.stub.UploadContent.future(messages, metadata=self.tenant.metadata)

    def messages(self, media_id: str, audio: bytes) -> list[UploadContentRequest]:
        return upload_messages(self.tenant, media_id, cut(audio, 512 * 1024))

    def download(self, media_id: str) -> bytes:
        request = DownloadContentRequest(
            account_id=self.tenant.account_id,
            media_id=media_id,
            rendition=RENDITION_KIND_ORIGINAL,
        )
        messages = self.stub.DownloadContent(request, metadata=self.tenant.metadata)
        return b"".join(message.data for message in messages)

    def round_trip(self) -> None:
        """Upload audio and get the same back."""
        media_id = self.create()
        self.upload(media_id, iter(self.messages(media_id, _AUDIO))).result(30)
        assert self.download(media_id) == _AUDIO


def test_it_says_where_it_is_ready(worker: StandaloneWorker) -> None:
    assert worker.output() == f"ready 127.0.0.1:{worker.port}\n"
    assert worker.grpc_target == f"127.0.0.1:{worker.port}"


async def test_the_asynchronous_client_uploads_and_downloads(
    worker: StandaloneWorker, tmp_path: Path
) -> None:
    await asyncio.to_thread((tmp_path / "in.wav").write_bytes, _AUDIO)
    target, api_key = await asyncio.to_thread(lambda: (worker.grpc_target, worker.api_key))
    async with Client(target, api_key) as client:
        account_id = await client.account_id()
        media = await client.create_media(account_id, Media(name="a media"))
        await client.upload(account_id, media.id, tmp_path / "in.wav")
        await client.download(account_id, media.id, tmp_path / "out.wav")
    assert await asyncio.to_thread((tmp_path / "out.wav").read_bytes) == _AUDIO


def test_a_blocking_client_uploads_and_downloads(
    worker: StandaloneWorker, channel: grpc.Channel
) -> None:
    SyncClient(worker, channel).round_trip()


def test_the_commands_find_it(worker: StandaloneWorker, tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_bytes(_AUDIO)
    shell = Shell(worker.data_dir, tmp_path)
    shell.ok("upload", "in.wav", "by-command", "--create", "A media")
    shell.ok("download", "by-command", "out.wav")
    assert (tmp_path / "out.wav").read_bytes() == _AUDIO


def test_health_answers_for_the_server_and_for_a_service(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for service in ("", "kazoo_media.v1.MediaService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
        assert answer.status == _SERVING


@pytest.mark.parametrize("version", _VERSIONS)
def test_reflection_knows_services_methods_and_itself(channel: grpc.Channel, version: str) -> None:
    own = f"grpc.reflection.{version}.ServerReflection"

    def ask(**wanted: str) -> ServerReflectionResponse:
        call: Any = channel.stream_stream(
            f"/{own}/ServerReflectionInfo",
            ServerReflectionRequest.SerializeToString,
            ServerReflectionResponse.FromString,
        )
        [answer] = call(iter([ServerReflectionRequest(**wanted)]), timeout=10)
        return answer

    listed = {each.name for each in ask(list_services="").list_services_response.service}
    assert {"kazoo_media.v1.MediaService", "grpc.health.v1.Health", own} <= listed
    assert "kazoo_media.crossbar.v2.CrossbarService" not in listed
    for symbol, file in (
        ("kazoo_media.v1.MediaService", "kazoo_media/v1/media_service.proto"),
        ("kazoo_media.v1.MediaService.GetMedia", "kazoo_media/v1/media_service.proto"),
        ("kazoo_media.v1.Media", "kazoo_media/v1/media.proto"),
        ("kazoo_media.v1.Media.name", "kazoo_media/v1/media.proto"),
        ("kazoo_media.v1.MediaFilter.Operator", "kazoo_media/v1/media_service.proto"),
        ("kazoo_media.v1.ErrorReason", "kazoo_media/v1/error_reason.proto"),
        ("kazoo_media.v1.ERROR_REASON_FORBIDDEN", "kazoo_media/v1/error_reason.proto"),
        (own, f"grpc_reflection/{version}/reflection.proto"),
        (f"{own}.ServerReflectionInfo", f"grpc_reflection/{version}/reflection.proto"),
    ):
        found = ask(file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto
        assert FileDescriptorProto.FromString(found[0]).name == file
    for missing in ("kazoo_media.v1.MediaService.Nothing", "nothing", "no.such.Service.Method"):
        answer = ask(file_containing_symbol=missing)
        assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("version", _VERSIONS)
def test_buf_curl_needs_no_protos(worker: StandaloneWorker, version: str) -> None:
    buf = [str(Path(sys.executable).with_name("buf")), "curl", "--http2-prior-knowledge"]
    asking = [*buf, "--protocol", "grpc", "--reflect-protocol", f"grpc-{version}"]
    url = f"http://{worker.grpc_target}"
    listed = _output([*asking, "--list-methods", url])
    assert "kazoo_media.v1.MediaService/GetMedia" in listed.split()
    data = json.dumps({"apiKey": worker.api_key})
    issued = _output([*asking, "-d", data, f"{url}/kazoo_media.v1.AccountService/IssueToken"])
    token = ["-H", f"x-auth-token: {json.loads(issued)['token']}"]
    own = _output([*asking, *token, f"{url}/kazoo_media.v1.AccountService/GetAccount"])
    assert json.loads(own)["account"]["id"] == worker.account_id


def test_nginx_passes_uploads_and_downloads_on(worker: StandaloneWorker, tmp_path: Path) -> None:
    with nginx(tmp_path, worker.port) as target, grpc.insecure_channel(target) as channel:
        SyncClient(worker, channel).round_trip()


def test_the_rest_surface_is_not_reachable(channel: grpc.Channel) -> None:
    call: Any = channel.unary_unary("/kazoo_media.crossbar.v2.CrossbarService/Fallback")
    with pytest.raises(grpc.RpcError) as failed:
        call(b"", timeout=10)
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_serve_on_its_data_folder_is_refused(worker: StandaloneWorker, tmp_path: Path) -> None:
    assert "in use by another" in Shell(worker.data_dir, tmp_path).fails("serve")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a worker that does not run, and the id of a media with `_PREVIOUS`."""
    folder = tmp_path_factory.mktemp("stopped")
    with StandaloneWorker(folder) as worker, grpc.insecure_channel(worker.grpc_target) as channel:
        client = SyncClient(worker, channel)
        media_id = client.create()
        client.upload(media_id, iter(client.messages(media_id, _PREVIOUS))).result(30)
    return folder, media_id


def test_an_upload_that_the_stop_breaks_off_keeps_the_previous_audio(
    stopped: tuple[Path, str],
) -> None:
    ends: dict[str, Callable[[StandaloneWorker], None]] = {
        "a second signal": _signal_twice,
        "the drain time": lambda worker: worker.process.send_signal(signal.SIGTERM),
        "kill -9": StandaloneWorker.kill,
    }
    folder, media_id = stopped
    before = "the first start"
    for how, end in ends.items():
        worker = StandaloneWorker(folder, drain_s="1" if how == "the drain time" else "600").start()
        with grpc.insecure_channel(worker.grpc_target) as channel:
            client = SyncClient(worker, channel)
            assert client.download(media_id) == _PREVIOUS, f"after {before}"
            broken = _broken_off(worker, client, media_id, end)
        assert broken in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}, how
        assert how == "kill -9" or worker.process.returncode == 0, how
        before = how
    with StandaloneWorker(folder) as again, grpc.insecure_channel(again.grpc_target) as channel:
        assert SyncClient(again, channel).download(media_id) == _PREVIOUS, f"after {before}"


def _signal_twice(worker: StandaloneWorker) -> None:
    # Earlier workers have written to the same log. Two signals at once would be one.
    stops = worker.log().count('"draining"')
    worker.process.send_signal(signal.SIGTERM)
    wait_until(lambda: worker.log().count('"draining"') > stops, "it drains")
    worker.process.send_signal(signal.SIGTERM)


def _broken_off(
    worker: StandaloneWorker,
    client: SyncClient,
    media_id: str,
    end: Callable[[StandaloneWorker], None],
) -> grpc.StatusCode:
    """Begin an upload, end the worker and return how the call ended."""
    process, pending = worker.process, pending_blobs(worker)

    def messages() -> Iterator[UploadContentRequest]:
        yield from client.messages(media_id, _AUDIO)[:2]
        process.wait()  # the rest is never sent

    call = client.upload(media_id, messages())
    _wait_until_begun(worker, pending)
    end(worker)
    process.wait(20)
    code: grpc.StatusCode = call.exception(20).code()
    return code


def test_a_running_upload_is_finished_before_the_stop(stopped: tuple[Path, str]) -> None:
    folder, media_id = stopped
    with StandaloneWorker(folder) as worker, grpc.insecure_channel(worker.grpc_target) as channel:
        client = SyncClient(worker, channel)
        pending = pending_blobs(worker)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == _SERVING

        def messages() -> Iterator[UploadContentRequest]:
            first, *rest = client.messages(media_id, _AUDIO)
            yield first
            yield rest[0]
            _wait_until_begun(worker, pending)
            worker.process.send_signal(signal.SIGTERM)
            assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
            yield from rest[1:]

        answer = client.upload(media_id, messages()).result(30)
        assert answer.media.content_length == len(_AUDIO)
        assert worker.process.wait(20) == 0
    with StandaloneWorker(folder) as again, grpc.insecure_channel(again.grpc_target) as channel:
        assert SyncClient(again, channel).download(media_id) == _AUDIO


def test_tls_is_spoken_and_a_client_certificate_wanted(tmp_path: Path) -> None:
    server, authority = local_server(tmp_path), Certificate(tmp_path, "authority")
    own = Certificate(tmp_path, "client", issuer=authority)
    stranger = Certificate(tmp_path, "stranger")
    files = {
        "tls_cert": str(server.path),
        "tls_key": str(server.key_path),
        "tls_client_ca": str(authority.path),
    }
    accepted = grpc.ssl_channel_credentials(server.pem, own.key_pem, own.pem)
    with (
        StandaloneWorker(tmp_path, **files) as worker,
        grpc.secure_channel(worker.grpc_target, accepted) as channel,
    ):
        SyncClient(worker, channel).round_trip()
        for refused in (
            grpc.ssl_channel_credentials(server.pem),
            grpc.ssl_channel_credentials(server.pem, stranger.key_pem, stranger.pem),
        ):
            with grpc.secure_channel(worker.grpc_target, refused) as other:
                _fails_to_connect(other)
        with grpc.insecure_channel(worker.grpc_target) as plain:
            _fails_to_connect(plain)
    del files["tls_client_ca"]
    with (
        StandaloneWorker(tmp_path, **files) as worker,
        grpc.secure_channel(
            worker.grpc_target, grpc.ssl_channel_credentials(server.pem)
        ) as channel,
    ):
        SyncClient(worker, channel).round_trip()
        shell = Shell(worker.data_dir, tmp_path)
        found = shell.ok("accounts", "get", "--json", "--tls-ca", str(server.path))
        assert json.loads(found)["id"] == worker.account_id


def _fails_to_connect(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_unix_socket_is_an_address(tmp_path: Path) -> None:
    worker = StandaloneWorker(tmp_path)
    address = f"unix:{tmp_path}/s"
    shell = Shell(worker.data_dir, tmp_path)
    with shell.start("worker", "--listen", address) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"ready {address}\n"
            assert json.loads(shell.ok("accounts", "get", "--json"))["id"] == worker.account_id
        finally:
            process.terminate()
            process.communicate(timeout=20)
    assert process.returncode == 0


def _output(command: list[str]) -> str:
    environment = {**os.environ, "BUF_CACHE_DIR": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _wait_until_begun(worker: StandaloneWorker, pending: int) -> None:
    wait_until(lambda: pending_blobs(worker) > pending, "the upload has begun")
