"""What strangers and stalled clients send takes little memory, and the system gets it back."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event, ResponseReceived, StreamReset, TrailersReceived

from tests.support.product import Product, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

_MIB = 1 << 20
_BUDGET_MIB = 64
_BACK_BYTES = 64 * _MIB
_UPLOAD = "/kazoo_media.v1.MediaService/UploadContent"
_GET = "/kazoo_media.v1.AccountService/GetAccount"


@dataclass(frozen=True)
class _Service:
    """A running product, and what its clients know."""

    product: Product
    rest_url: str
    rest: tuple[str, int]
    grpc: tuple[str, int]
    token: str


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Service]:
    folder = tmp_path_factory.mktemp("bounded")
    with (
        Product(folder, worker_buffer_mib=str(_BUDGET_MIB)) as product,
        httpx.Client(base_url=product.rest_url) as http,
    ):
        answer = http.put("/v2/api_auth", json={"data": {"api_key": product.api_key}})
        for _ in range(200):
            http.get("/v2/media")
        ports = (int(each.rpartition(":")[2]) for each in (product.rest_url, product.grpc_target))
        rest, grpc = (("127.0.0.1", port) for port in ports)
        yield _Service(product, product.rest_url, rest, grpc, answer.json()["auth_token"])


class _Memory:
    """Resident memory above what an idle product takes, in bytes."""

    def __init__(self, product: Product) -> None:
        self._processes = {"worker": product.workers()[0], "Envoy": product.envoy()}
        self._idle = self._now()

    def grown(self) -> dict[str, int]:
        return {name: now - self._idle[name] for name, now in self._now().items()}

    async def given_back(self) -> None:
        """Return when each process is near its idle size again."""
        await asyncio.to_thread(
            wait_until,
            lambda: max(self.grown().values()) <= _BACK_BYTES,
            "the memory is given back",
        )

    def _now(self) -> dict[str, int]:
        return {name: process.memory_info().rss for name, process in self._processes.items()}


class _Streams:
    """One HTTP/2 connection to the gRPC port with calls that send a part of one message."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._unsent: dict[int, int] = {}
        self.statuses: dict[int, str] = {}

    def begin(
        self, path: str, headers: list[tuple[str, str]], message_bytes: int = 4 * _MIB
    ) -> None:
        """Begin a call that will send a message without its last byte."""
        stream = self._h2.get_next_available_stream_id()
        head = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a")]
        head += [("content-type", "application/grpc"), ("te", "trailers"), *headers]
        self._h2.send_headers(stream, head)
        self._h2.send_data(stream, b"\0" + struct.pack(">I", message_bytes))
        self._unsent[stream] = message_bytes - 1

    async def run(self, seconds: float) -> None:
        """Send as fast as the service takes it; return when it has taken nothing for so long."""
        while True:
            self._send()
            self._writer.write(self._h2.data_to_send())
            await self._writer.drain()
            try:
                data = await asyncio.wait_for(self._reader.read(1 << 18), seconds)
            except TimeoutError:
                return
            if not data:
                return
            for event in self._h2.receive_data(data):
                self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, ResponseReceived | TrailersReceived):
            for name, value in event.headers:
                if name in {"grpc-status", b"grpc-status"}:
                    self.statuses[event.stream_id] = str(value)
                    self._unsent.pop(event.stream_id, None)
        elif isinstance(event, StreamReset):
            self._unsent.pop(event.stream_id, None)

    def _send(self) -> None:
        for stream, left in tuple(self._unsent.items()):
            room = min(left, self._h2.local_flow_control_window(stream))
            while room > 0:
                size = min(room, self._h2.max_outbound_frame_size)
                self._h2.send_data(stream, bytes(size))
                room -= size
                self._unsent[stream] -= size


@asynccontextmanager
async def _opened(
    address: tuple[str, int],
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection that ends without a word."""
    reader, writer = await asyncio.open_connection(*address, limit=1 << 16)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def _connection(service: _Service) -> AsyncIterator[_Streams]:
    async with _opened(service.grpc) as (reader, writer):
        yield _Streams(reader, writer)


async def test_half_messages_of_strangers_take_nothing(service: _Service) -> None:
    memory = _Memory(service.product)
    async with _connection(service) as streams:
        for index in range(200):
            headers = [("x-auth-token", "unknown")] if index % 2 else []
            streams.begin(_GET if index % 3 else _UPLOAD, headers)
        await streams.run(1)
        assert set(streams.statuses.values()) == {"16"}
        assert len(streams.statuses) == 200
        assert memory.grown()["worker"] < 32 * _MIB
    await memory.given_back()


async def test_strangers_do_not_keep_callers_out(service: _Service) -> None:
    async with _connection(service) as streams:
        for _ in range(1000):
            streams.begin(_GET, [], message_bytes=64 << 10)
        await streams.run(1)
        assert set(streams.statuses.values()) == {"16"}  # of those above half of the budget
        assert 0 < len(streams.statuses) < 1000
        async with httpx.AsyncClient(base_url=service.rest_url) as http:
            body = b'{"data": {"name": "x", "note": "%b"}}' % (b"x" * 300_000)
            created = await http.put(
                "/v2/media", headers={"x-auth-token": service.token}, content=body
            )
            assert created.status_code == 201
            wrong = await http.put("/v2/api_auth", json={"data": {"api_key": "0" * 64}})
            assert wrong.status_code == 401


async def test_half_messages_of_callers_have_one_budget(service: _Service) -> None:
    memory = _Memory(service.product)
    async with _connection(service) as streams, _connection(service) as late:
        for _ in range(100):
            streams.begin(_UPLOAD, [("x-auth-token", service.token)])
        await streams.run(1)
        assert memory.grown()["worker"] < (_BUDGET_MIB + 64) * _MIB
        late.begin(_UPLOAD, [("x-auth-token", service.token)])
        await late.run(1)
        assert list(late.statuses.values()) == ["8"]
        async with httpx.AsyncClient(base_url=service.rest_url) as http:
            headers = {"x-auth-token": service.token}
            assert (await http.get("/v2/media", headers=headers)).status_code == 200
            body = b'{"data": {"name": "x", "note": "%b"}}' % (b"x" * 300_000)
            refused = await http.put("/v2/media", headers=headers, content=body)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    await asyncio.to_thread(
        wait_until,
        lambda: httpx.put(f"{service.rest_url}/v2/media", headers=headers, content=body).is_success,
        "what the clients left is given back",
    )
    await memory.given_back()


@pytest.mark.parametrize("framing", ["Content-Length: 5242880", "Transfer-Encoding: chunked"])
async def test_large_bodies_of_log_ins_are_refused_at_once(service: _Service, framing: str) -> None:
    memory = _Memory(service.product)
    chunk = b"%x\r\n%b\r\n" % (100_000, bytes(100_000))
    async with AsyncExitStack() as stack:
        answers = []
        for _ in range(150):
            reader, writer = await stack.enter_async_context(_opened(service.rest))
            head = f"PUT /v2/api_auth HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"
            writer.write(head.encode() + (chunk if "chunked" in framing else chunk[7:-2]))
            with suppress(ConnectionError):  # it may be refused before all is sent
                await writer.drain()
                answers.append(await reader.readline())
        assert {each.split()[1] for each in answers if each} == {b"413"}
        assert max(memory.grown().values()) < 64 * _MIB
    await memory.given_back()


async def test_stalled_transfers_give_their_memory_back(
    service: _Service,
) -> None:
    memory = _Memory(service.product)
    headers = {"x-auth-token": service.token}
    async with httpx.AsyncClient(base_url=service.rest_url, headers=headers) as http:
        made = await http.put("/v2/media", json={"data": {"name": "x"}})
        path = f"/v2/media/{made.json()['data']['id']}/raw"
        audio = b"RIFF" + struct.pack("<I", 16 * _MIB) + b"WAVEfmt " + bytes(16 * _MIB - 12)
        await http.post(path, content=audio, headers={"content-type": "audio/wav"})
        async with AsyncExitStack() as stack:
            for index in range(64):
                reader, writer = await stack.enter_async_context(_opened(service.rest))
                token_line = f"X-Auth-Token: {service.token}\r\nHost: a\r\n"
                if index % 2:
                    writer.write(f"GET {path} HTTP/1.1\r\n{token_line}\r\n".encode())
                    assert b"200" in await reader.readline()
                else:
                    length = f"Content-Length: {16 * _MIB}\r\nContent-Type: audio/wav\r\n\r\n"
                    writer.write(f"POST {path} HTTP/1.1\r\n{token_line}{length}".encode())
                    writer.write(audio[: 8 * _MIB])
                    await writer.drain()
            assert sum(memory.grown().values()) < 64 * 4 * _MIB
    await memory.given_back()
