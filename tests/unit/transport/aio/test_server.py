"""The standard engine on its own: what it believes, when a stream has ended, how it stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from kazoo_media.transport.aio.metadata import address_of
from kazoo_media.transport.aio.server import StandardServer, Tls
from kazoo_media.transport.standard_services import add_standard_services
from tests.support.certificates import local_server

_SERVICE = "kazoo_media.v1.ProbeService"
_CHUNKED = (("x-rest-method", "POST"),)
_CLAIMS = (
    ("x-rest-method", "GET"),
    ("x-rest-peer", "192.0.2.1"),
    ("x-envoy-original-path", "/v2/media"),
    ("x-forwarded-client-cert", 'Cert="x"'),
)


class Servicer:
    """Notes what it sees."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.begun = asyncio.Event()
        self.ended = 0
        self.cancelled = 0

    def handlers(self) -> dict[str, Any]:
        return {
            "note": grpc.unary_unary_rpc_method_handler(self.note),
            "read": grpc.unary_unary_rpc_method_handler(
                self.note, request_deserializer=StringValue.FromString
            ),
            "collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "wait": grpc.unary_unary_rpc_method_handler(self.wait),
        }

    async def note(self, request: Any, context: Any) -> bytes:
        self.metadata = dict(context.invocation_metadata())
        return bytes(request)

    async def collect(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        del context
        async for _ in requests:
            self.begun.set()
        self.ended += 1
        return b""

    async def wait(self, request: bytes, context: Any) -> bytes:
        del context
        self.begun.set()
        try:
            await asyncio.sleep(float(request))
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)  # as what discards an upload
            self.cancelled += 1
            raise
        return b"done"


@pytest.fixture
async def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
async def server(request: pytest.FixtureRequest, servicer: Servicer) -> StandardServer:
    server = StandardServer(behind_transcoder=getattr(request, "param", False))
    server.add_registered_method_handlers(_SERVICE, servicer.handlers())
    return server


@pytest.fixture
async def channel(server: StandardServer) -> AsyncIterator[grpc.aio.Channel]:
    address = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(address) as opened:
        yield opened


def _call(channel: grpc.aio.Channel, method: str) -> Any:
    return channel.unary_unary(f"/{_SERVICE}/{method}")


def _collect(channel: grpc.aio.Channel) -> Any:
    return channel.stream_unary(f"/{_SERVICE}/collect")


@pytest.mark.parametrize("server", [True], indirect=True)
async def test_a_stream_that_was_cut_is_never_taken_for_an_ended_one(
    channel: grpc.aio.Channel, server: StandardServer, servicer: Servicer
) -> None:
    for _ in range(60):
        servicer.begun.clear()
        call = _collect(channel)(metadata=_CHUNKED)
        await call.write(b"all of it")
        await servicer.begun.wait()
        call.cancel()
    await server.stop(5)
    assert servicer.ended == 0


@pytest.mark.parametrize("server", [True], indirect=True)
async def test_a_stream_without_a_length_ends(
    channel: grpc.aio.Channel, server: StandardServer, servicer: Servicer
) -> None:
    assert await _collect(channel)(iter([b"x"]), metadata=_CHUNKED) == b""
    await server.stop(5)
    assert servicer.ended == 1


async def test_what_only_a_gateway_may_say_is_removed(
    channel: grpc.aio.Channel, server: StandardServer, servicer: Servicer
) -> None:
    await _call(channel, "note")(b"", metadata=(*_CLAIMS, ("x-own", "1")))
    await server.stop(0)
    seen = servicer.metadata
    assert not {"x-rest-method", "x-envoy-original-path", "x-forwarded-client-cert"} & seen.keys()
    assert (seen["x-rest-peer"], seen["x-own"]) == ("127.0.0.1", "1")


@pytest.mark.parametrize("server", [True], indirect=True)
async def test_a_transcoder_is_believed_but_nobody_proves_a_certificate_by_a_header(
    channel: grpc.aio.Channel, server: StandardServer, servicer: Servicer
) -> None:
    await _call(channel, "note")(b"", metadata=_CLAIMS)
    await server.stop(0)
    kept = {key: value for key, value in servicer.metadata.items() if key.startswith("x-")}
    assert kept == dict(_CLAIMS[:3])


async def test_a_message_that_cannot_be_read_is_an_error_without_a_secret(
    channel: grpc.aio.Channel, server: StandardServer
) -> None:
    with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as caught:
        await _call(channel, "read")(b"\xff\xff")
    await server.stop(0)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details() == "a message cannot be read"
    assert lines == []


async def test_a_stop_lets_a_call_end_and_does_not_wait_for_those_who_watch(
    channel: grpc.aio.Channel, server: StandardServer, servicer: Servicer, tmp_path: Path
) -> None:
    watched = StandardServer()
    watched.add_registered_method_handlers(_SERVICE, servicer.handlers())
    status = await add_standard_services(watched, [_SERVICE], [])
    address = await watched.start(f"unix:{tmp_path}/s")
    async with grpc.aio.insecure_channel(address) as opened:
        stub: Any = health_pb2_grpc.HealthStub(opened)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=_SERVICE))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        call = _call(opened, "wait")(b"0.2")
        await servicer.begun.wait()
        await status.enter_graceful_shutdown()
        await asyncio.wait_for(watched.stop(50), 20)
        assert await call == b"done"
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await server.stop(0)


async def test_after_the_grace_calls_are_cancelled_and_have_cleaned_up(
    channel: grpc.aio.Channel, server: StandardServer, servicer: Servicer
) -> None:
    call = _call(channel, "wait")(b"600")
    await servicer.begun.wait()
    await server.stop(0.1)
    assert servicer.cancelled == 1
    with pytest.raises(grpc.aio.AioRpcError):
        await call


async def test_a_stop_can_be_cut_short(
    channel: grpc.aio.Channel, server: StandardServer, servicer: Servicer
) -> None:
    call = _call(channel, "wait")(b"600")
    await servicer.begun.wait()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.stop(600))
        await asyncio.sleep(0)
        server.break_off()
    assert servicer.cancelled == 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_address_in_use_is_refused(server: StandardServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port} cannot be listened on"):
            await server.start(f"127.0.0.1:{port}")


async def test_files_that_are_no_certificate_are_refused(
    server: StandardServer, tmp_path: Path
) -> None:
    good, bad = local_server(tmp_path), tmp_path / "bad.pem"
    bad.write_text("nothing")
    with pytest.raises((ValueError, OSError)):
        await server.start("127.0.0.1:0", Tls(bad, good.key_path))


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50000", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:50000", "2001:db8::1"),
        ("unix:/run/s", ""),
        ("unix:", ""),
    ],
)
def test_the_address_of_a_peer(peer: str, address: str) -> None:
    assert address_of(peer) == address
