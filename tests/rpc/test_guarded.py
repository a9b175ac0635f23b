"""What happens around every call, on handlers of all four kinds that end in every way."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from kazoo_media.errors import MediaNotFoundError
from kazoo_media.transport.aio.server import StandardServer
from kazoo_media.transport.context import Call, Context, is_from_gateway, token_of
from kazoo_media.transport.guarded import Guarded
from kazoo_media.v1.media_service_pb2 import GetMediaRequest
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from tests.rpc.service import Live, refusal_of
from tests.support.counted import Counted

_TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
_SECRET = "the password is in /etc/x"  # what a plain exception may say


def _end(request: bytes, context: Context) -> bytes:
    """End as the request asks."""
    if request == b"known":
        raise MediaNotFoundError("x")
    if request == b"unknown":
        raise RuntimeError(_SECRET)
    if request == b"who":
        Call.note_account("a" * 32)
        return f"{token_of(context)} {is_from_gateway(context)}".encode()
    return request


async def _unary_unary(request: bytes, context: Context) -> bytes:
    return _end(request, context)


async def _unary_stream(request: bytes, context: Context) -> AsyncIterator[bytes]:
    yield b"first"
    yield _end(request, context)


async def _stream_unary(requests: AsyncIterator[bytes], context: Context) -> bytes:
    return _end([each async for each in requests][-1], context)


async def _stream_stream(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    yield b"first"
    async for each in requests:
        yield _end(each, context)


_HANDLERS: dict[str, Any] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler(_unary_unary),
    "unary_stream": grpc.unary_stream_rpc_method_handler(_unary_stream),
    "stream_unary": grpc.stream_unary_rpc_method_handler(_stream_unary),
    "stream_stream": grpc.stream_stream_rpc_method_handler(_stream_stream),
}
_KINDS = list(_HANDLERS)
_SERVICE = "kazoo_media.v1.ProbeService"


@pytest.fixture
def metrics() -> Counted:
    return Counted()


@pytest.fixture
async def channel(metrics: Counted) -> AsyncIterator[grpc.aio.Channel]:
    server = StandardServer(behind_transcoder=True)
    Guarded(server, metrics).add_registered_method_handlers(_SERVICE, _HANDLERS)
    with tempfile.TemporaryDirectory() as folder:
        address = await server.start(f"unix:{folder}/s")
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel
        await server.stop(0)


async def _call(
    channel: grpc.aio.Channel,
    kind: str,
    request: bytes,
    *metadata: tuple[str, str],
    service: str = _SERVICE,
) -> tuple[list[bytes], Any]:
    """Return the messages of a call and its trailing metadata."""
    method: Callable[..., Any] = getattr(channel, kind)(f"/{service}/{kind}")
    call = method(iter([request]) if kind.startswith("stream") else request, metadata=metadata)
    messages = [each async for each in call] if kind.endswith("stream") else [await call]
    return messages, dict(await call.trailing_metadata())


@pytest.mark.parametrize("kind", _KINDS)
async def test_a_good_call_passes_and_gets_its_request_id(
    channel: grpc.aio.Channel, kind: str
) -> None:
    messages, trailing = await _call(channel, kind, b"hello")
    assert messages[-1] == b"hello"
    assert len(trailing["x-request-id"]) == 32


@pytest.mark.parametrize("kind", _KINDS)
async def test_a_known_error_becomes_its_status(channel: grpc.aio.Channel, kind: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _call(channel, kind, b"known", ("x-request-id", "mine"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert refusal_of(caught.value).info.reason == "MEDIA_NOT_FOUND"
    assert dict(caught.value.trailing_metadata())["x-request-id"] == "mine"


@pytest.mark.parametrize("kind", _KINDS)
async def test_an_unknown_error_tells_the_log_and_not_the_client(
    channel: grpc.aio.Channel, kind: str
) -> None:
    with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as caught:
        await _call(channel, kind, b"unknown", ("x-request-id", "mine"))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert refusal_of(caught.value).info.reason == "INTERNAL"
    assert _SECRET not in repr(caught.value)
    failure, access = lines
    assert failure["exc_info"]
    assert failure["request_id"] == access["request_id"] == "mine"
    assert access["code"] == "INTERNAL"


@pytest.mark.parametrize(
    ("sent", "trace_id"),
    [
        (f"00-{_TRACE_ID}-00f067aa0ba902b7-01", _TRACE_ID),
        (f"01-{_TRACE_ID}-00f067aa0ba902b7-01-more", _TRACE_ID),
        (f"ff-{_TRACE_ID}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{_TRACE_ID.upper()}-00f067aa0ba902b7-01", None),
        ("secret", None),
    ],
)
async def test_every_line_of_a_call_has_its_request_and_its_trace(
    channel: grpc.aio.Channel, sent: str, trace_id: str | None
) -> None:
    metadata = ("x-request-id", "mine"), ("traceparent", sent)
    with capture_logs([merge_contextvars]) as lines, pytest.raises(grpc.aio.AioRpcError):
        await _call(channel, "unary_unary", b"unknown", *metadata)
    assert len(lines) == 2
    for line in lines:
        assert (line["request_id"], line.get("trace_id")) == ("mine", trace_id)
    with capture_logs([merge_contextvars]) as lines:
        await _call(channel, "unary_unary", b"hello")
    assert ["trace_id" in line for line in lines] == [False]


@pytest.mark.parametrize("kind", _KINDS)
async def test_every_call_has_one_access_line_without_its_token(
    channel: grpc.aio.Channel, kind: str
) -> None:
    with capture_logs() as lines:
        messages, _ = await _call(channel, kind, b"who", ("x-auth-token", "s3cret"))
    assert messages[-1] == b"s3cret False"
    (line,) = lines
    assert line["method"] == f"/{_SERVICE}/{kind}"
    assert (line["code"], line["account_id"]) == ("OK", "a" * 32)
    assert line["ms"] >= 0
    assert len(line["request_id"]) == 32
    assert "s3cret" not in repr(lines)


@pytest.mark.parametrize("sent", ["x" * 129, ""])
async def test_a_request_id_that_can_not_be_used_is_replaced(
    channel: grpc.aio.Channel, sent: str
) -> None:
    _, trailing = await _call(channel, "unary_unary", b"", ("x-request-id", sent))
    assert len(trailing["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("metadata", "seen"),
    [
        ((), b"None False"),
        ((("authorization", "Bearer abc"),), b"abc False"),
        ((("authorization", "bearer  abc "),), b"abc False"),
        ((("authorization", "Basic abc"),), b"None False"),
        ((("authorization", "Bearer abc"), ("x-auth-token", "own")), b"own False"),
        ((("x-envoy-original-path", "/v2/media"),), b"None True"),
    ],
)
async def test_metadata_tell_token_and_way(
    channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...], seen: bytes
) -> None:
    assert (await _call(channel, "unary_unary", b"who", *metadata))[0] == [seen]


async def test_an_unknown_method_is_unimplemented(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _call(channel, "unary_unary", b"", service=f"{_SERVICE}.Missing")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_typed_services_name_the_caller_in_the_access_log(live: Live) -> None:
    stub: Any = MediaServiceStub(live.channel)
    request = GetMediaRequest(account_id=live.tenant.account_id, media_id="none")
    with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError):
        await stub.GetMedia(request, metadata=live.tenant.metadata)
    (line,) = lines
    assert (line["code"], line["account_id"]) == ("NOT_FOUND", live.tenant.account_id)


@pytest.mark.parametrize("kind", _KINDS)
async def test_every_call_is_counted_by_how_it_ended(
    channel: grpc.aio.Channel, metrics: Counted, kind: str
) -> None:
    await _call(channel, kind, b"hello")
    for failing in (b"known", b"unknown"):
        with capture_logs(), pytest.raises(grpc.aio.AioRpcError):
            await _call(channel, kind, failing)
    for code in ("OK", "NOT_FOUND", "INTERNAL"):
        assert metrics.value("requests_total", surface="grpc", rpc=kind, code=code) == 1
