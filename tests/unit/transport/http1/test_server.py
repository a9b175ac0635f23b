"""What the gateway sees on a connection to a worker: byte for byte, where a client can not look."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from kazoo_media.errors import InvalidCredentialsError
from kazoo_media.transport.budget import Budget
from kazoo_media.transport.context import Context, metadata_value
from kazoo_media.transport.guarded import Guarded
from kazoo_media.transport.http1.call import Call
from kazoo_media.transport.http1.server import WorkerServer

_HEAD = (
    b"POST /s/%b HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n"
    b"transfer-encoding: chunked\r\n%b\r\n"
)
_MESSAGE = b"6\r\n\0\0\0\0\1x\r\n"
_END = b"0\r\n\r\n"
_LARGE = b"10005\r\n\0\0\1\0\0" + bytes(65536) + b"\r\n"


class _Service:
    """Answers `echo`, `first`, `large`, `refuse`, `stubborn` and `tidy`."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.go_on = asyncio.Event()
        self.is_tidy = False

    def handlers(self) -> dict[str, Any]:
        return {
            "echo": grpc.stream_stream_rpc_method_handler(self._echo),
            "first": grpc.stream_unary_rpc_method_handler(self._first),
            "large": grpc.unary_stream_rpc_method_handler(self._large),
            "refuse": grpc.stream_unary_rpc_method_handler(self._refuse),
            "stubborn": grpc.unary_stream_rpc_method_handler(self._stubborn),
            "tidy": grpc.stream_unary_rpc_method_handler(self._tidy),
        }

    async def _echo(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        del context
        try:
            async for request in requests:
                yield request
                self.begun.set()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _first(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        del context
        return await anext(requests)

    async def _large(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        del context
        for _ in range(6):  # more than a socket takes, less than a call waits for
            yield request * 65536

    async def _stubborn(self, request: bytes, context: Any) -> None:
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            await context.write(request)  # too late
            self.cancelled.set()
        await context.write(request)

    async def _refuse(self, requests: AsyncIterator[bytes], context: Any) -> None:
        del requests
        self.begun.set()
        await self.go_on.wait()
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such media")

    async def _tidy(self, requests: AsyncIterator[bytes], context: Any) -> None:
        del context
        self.begun.set()
        try:
            await anext(requests)
        except asyncio.CancelledError:
            self.cancelled.set()
            await self.go_on.wait()
            self.is_tidy = True
            raise


class _Running:
    """A server and connections to it."""

    def __init__(self, path: Path) -> None:
        self.service = _Service()
        self.budget = Budget(1 << 20)
        self.server = WorkerServer(self.budget, self._recognize)
        self.server.add_registered_method_handlers("s", self.service.handlers())
        self._path = path
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        await self.server.start(self._path)

    async def _recognize(self, context: Context) -> None:
        if metadata_value(context, "x-auth-token") != "known":
            raise InvalidCredentialsError

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(str(self._path), limit=1 << 20)
        self._writers.append(writer)
        return reader, writer

    async def stop(self) -> None:
        await self.server.stop(0)
        for writer in self._writers:
            writer.close()


@pytest.fixture
async def running() -> AsyncIterator[_Running]:
    with tempfile.TemporaryDirectory() as folder:
        started = _Running(Path(folder) / "s")
        await started.start()
        yield started
        await started.stop()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """Return an answer with messages, to the end of its trailers."""
    return await reader.readuntil(_END[:3]) + await reader.readuntil(b"\r\n\r\n")


async def test_a_connection_serves_one_call_after_the_other(running: _Running) -> None:
    reader, writer = await running.connect()
    for _ in range(3):
        writer.write(_HEAD % (b"echo", b"") + _MESSAGE + _END)
        assert (await _answer(reader)).endswith(_MESSAGE + b"0\r\ngrpc-status: 0\r\n\r\n")
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_a_request_that_breaks_off_cancels_its_call(running: _Running) -> None:
    _, writer = await running.connect()
    writer.write(_HEAD % (b"echo", b"") + _MESSAGE)
    await running.service.begun.wait()
    writer.close()
    await running.service.cancelled.wait()


async def test_what_follows_an_early_answer_is_dropped(running: _Running) -> None:
    reader, writer = await running.connect()
    writer.write(_HEAD % (b"first", b"") + _MESSAGE)
    await _answer(reader)
    for _ in range(100):
        writer.write(_LARGE)
        await writer.drain()
    writer.write(_END + _HEAD % (b"echo", b"") + _MESSAGE + _END)
    assert _MESSAGE in await _answer(reader)


async def test_an_upload_that_nobody_took_does_not_stop_the_next_call(running: _Running) -> None:
    reader, writer = await running.connect()
    writer.transport.set_write_buffer_limits(0)
    writer.write(_HEAD % (b"refuse", b"") + _LARGE * 5 + _END)
    await writer.drain()
    other_reader, other_writer = await running.connect()
    other_writer.write(_HEAD % (b"echo", b"") + _MESSAGE + _END)
    await _answer(other_reader)  # all that was sent before has arrived
    running.service.go_on.set()
    assert b"grpc-status: 5\r\n" in await reader.readuntil(b"\r\n\r\n")
    writer.write(_HEAD % (b"echo", b"") + _MESSAGE + _END)
    assert _MESSAGE in await _answer(reader)


def _live_calls() -> int:
    gc.collect()
    return sum(isinstance(each, Call) for each in gc.get_objects())


async def test_a_cancelled_call_does_not_wait_for_its_deadline(running: _Running) -> None:
    before = _live_calls()  # of tests whose servers are still there
    _, writer = await running.connect()
    writer.write(_HEAD % (b"echo", b"grpc-timeout: 8H\r\n") + _MESSAGE)
    await running.service.begun.wait()
    writer.close()
    await running.service.cancelled.wait()
    await asyncio.sleep(0)
    assert _live_calls() == before


async def test_a_call_over_its_deadline_says_so_and_then_nothing_more(running: _Running) -> None:
    reader, writer = await running.connect()
    writer.write(_HEAD % (b"stubborn", b"grpc-timeout: 20m\r\n") + _MESSAGE + _END)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert b"grpc-status: 4\r\n" in answer
    await running.service.cancelled.wait()
    writer.write(_HEAD % (b"echo", b"") + _END)
    assert b"grpc-status: 0\r\n" in await reader.readuntil(b"\r\n\r\n")


async def test_a_stream_is_refused_for_a_message_over_the_limit(running: _Running) -> None:
    handlers = {"guarded": running.service.handlers()["first"]}
    Guarded(running.server).add_registered_method_handlers("s", handlers)
    reader, writer = await running.connect()
    with capture_logs() as lines:
        writer.write(_HEAD % (b"guarded", b"") + b"5\r\n\0\1\0\0\0\r\n")
        assert b"grpc-status: 8\r\n" in await reader.readuntil(b"\r\n\r\n")
    assert [(line["event"], line["code"]) for line in lines] == [("call", "RESOURCE_EXHAUSTED")]


async def test_a_stranger_learns_at_once_that_a_large_message_is_not_taken(
    running: _Running,
) -> None:
    reader, writer = await running.connect()
    writer.write(_HEAD % (b"first", b"") + b"5\r\n\0\0\1\0\1\r\n")
    assert b"grpc-status: 16\r\n" in await reader.readuntil(b"\r\n\r\n")
    for header in (b"x-auth-token: known\r\n", b"x-envoy-original-path: /\r\n"):
        reader, writer = await running.connect()
        writer.write(_HEAD % (b"first", header) + b"10006\r\n\0\0\1\0\1" + bytes(65537) + b"\r\n")
        assert b"grpc-status: 0\r\n" in await _answer(reader)


async def test_a_call_whose_message_does_not_go_on_is_ended(running: _Running) -> None:
    reader, writer = await running.connect()
    writer.write(_HEAD % (b"echo", b"") + _MESSAGE)
    other_reader, other_writer = await running.connect()
    other_writer.write(_HEAD % (b"echo", b"") + _MESSAGE + b"5\r\n\0\0\0\0\2\r\n")
    for each in (reader, other_reader):
        await each.readuntil(_MESSAGE)
    now_s = time.monotonic()
    running.server.end_stalled(now_s + 59)
    running.server.end_stalled(now_s + 61)
    assert b"grpc-status: 4\r\n" in await other_reader.readuntil(b"\r\n\r\n")
    assert running.budget.taken_bytes == 0
    writer.write(_MESSAGE + _END)  # a pause between messages may be long
    assert b"grpc-status: 0\r\n" in await _answer(reader)


async def test_a_client_that_leaves_while_nobody_reads_is_noticed(running: _Running) -> None:
    _, writer = await running.connect()
    running.budget.take(1 << 20)
    whole, half = _MESSAGE, b"5\r\n\0\0\0\0\2\r\n"
    writer.write(_HEAD % (b"echo", b"x-auth-token: known\r\n") + whole)
    await running.service.begun.wait()
    writer.write(half)
    await _turns(20)
    writer.close()
    await _turns(20)
    assert not running.service.cancelled.is_set()
    running.server.end_stalled(time.monotonic())
    await running.service.cancelled.wait()
    assert running.budget.taken_bytes == 1 << 20


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_timeout_of_nothing_is_answered(running: _Running) -> None:
    reader, writer = await running.connect()
    writer.write(_HEAD % (b"stubborn", b"grpc-timeout: 1n\r\n") + _MESSAGE + _END)
    assert b"grpc-status: 4\r\n" in await reader.readuntil(b"\r\n\r\n")


async def test_what_is_no_http_closes_the_connection(running: _Running) -> None:
    reader, writer = await running.connect()
    writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
    assert await reader.read() == b""


async def test_a_call_may_end_while_the_server_stops(running: _Running) -> None:
    reader, writer = await running.connect()
    idle, _ = await running.connect()
    writer.write(_HEAD % (b"stubborn", b"") + _MESSAGE + _END)
    await running.service.begun.wait()
    stopping = asyncio.ensure_future(running.server.stop(60))
    assert await idle.read() == b""
    running.service.go_on.set()
    assert (await reader.read()).endswith(_MESSAGE + b"0\r\ngrpc-status: 0\r\n\r\n")
    await stopping


async def test_an_answer_may_leave_while_the_server_stops(running: _Running) -> None:
    reader, writer = await running.connect()
    writer.write(_HEAD % (b"large", b"") + _MESSAGE + _END)
    assert await reader.readexactly(1)
    stopping = asyncio.ensure_future(running.server.stop(60))
    assert (await reader.read()).endswith(b"0\r\ngrpc-status: 0\r\n\r\n")
    await stopping


async def test_a_cancelled_call_may_clean_up_while_the_server_stops(running: _Running) -> None:
    _, writer = await running.connect()
    writer.write(_HEAD % (b"tidy", b""))
    await running.service.begun.wait()
    writer.close()
    await running.service.cancelled.wait()
    stopping = asyncio.ensure_future(running.server.stop(60))
    for _ in range(5):
        await asyncio.sleep(0)
    running.service.go_on.set()
    await stopping
    assert running.service.is_tidy


async def test_a_call_that_does_not_end_is_broken_off(running: _Running) -> None:
    reader, writer = await running.connect()
    writer.write(_HEAD % (b"echo", b"") + _MESSAGE)
    await running.service.begun.wait()
    await running.server.stop(0)
    assert running.service.cancelled.is_set()
    with pytest.raises(asyncio.IncompleteReadError):
        await _answer(reader)
