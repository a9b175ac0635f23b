"""Thousands of hostile calls on the gRPC port: none is a fault of the service."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from hpack import Decoder
from hyperframe.frame import Frame, HeadersFrame

from kazoo_media.client import Client
from tests.e2e.hostile_frames import HostileConnection, World
from tests.support.product import Product, wait_until
from tests.support.repetitions import repetitions

pytestmark = pytest.mark.e2e

_SEED = int(os.environ.get("KAZOO_TEST_SEED", "20261130"))
_CALLS = repetitions(4_000, 20_000)
_CALLS_EACH = 40
_CONNECTIONS = 16
_END_S = 30.0
_FAULTS = {"2", "14", "15"}
"""UNKNOWN, UNAVAILABLE and DATA_LOSS. INTERNAL is gRPC's answer to what is no message."""


@pytest.mark.timeout(300)
def test_hostile_calls_are_answered_well(tmp_path: Path) -> None:
    """A failure prints the seed and the number, which give the connection again."""
    with Product(tmp_path, workers="2") as product:
        before = {index: worker.pid for index, worker in product.workers().items()}
        print(f"KAZOO_TEST_SEED={_SEED}")
        statuses = asyncio.run(_Run(product).all())
        print(dict(sorted(statuses.items())))
        assert {"0", "3", "8", "12", "13", "16"} <= set(statuses)
        assert not _FAULTS & set(statuses)
        assert {index: worker.pid for index, worker in product.workers().items()} == before
        assert not [line for line in product.log_lines() if line.get("level") == "error"]
        wait_until(lambda: _resident_mib(product) < 450, "the memory is given back")


def _resident_mib(product: Product) -> float:
    processes = [product.envoy(), *product.workers().values()]
    return sum(each.memory_info().rss for each in processes) / (1 << 20)


class _Run:
    """All connections, some at a time, and an honest caller beside them."""

    def __init__(self, product: Product) -> None:
        self._target = product.grpc_target
        self._api_key = product.api_key
        self._account_id = product.account_id
        self._statuses: Counter[str] = Counter()
        self._numbers = count()
        self._world = World(["", "unknown", "a.b.c"])

    async def all(self) -> Counter[str]:
        async with Client(self._target, self._api_key) as client:
            self._world = World(["", "unknown", await client.token(), "a.b.c"])
            await asyncio.gather(*(self._some(client) for _ in range(_CONNECTIONS)))
        return self._statuses

    async def _some(self, client: Client) -> None:
        for number in self._numbers:
            if number >= _CALLS // _CALLS_EACH:
                return
            await self._one(number)
            async with asyncio.timeout(_END_S):
                await client.list_languages(self._account_id)

    async def _one(self, number: int) -> None:
        hostile = HostileConnection(self._world, _SEED, number)
        pieces = hostile.made(_CALLS_EACH)
        host, _, port = self._target.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        reading = asyncio.ensure_future(self._read(reader, hostile.last_stream))
        try:
            async with asyncio.timeout(_END_S):
                with suppress(OSError):
                    for piece in pieces:
                        writer.write(piece)
                        await writer.drain()
                await reading
        except TimeoutError:
            raise AssertionError(f"connection {number} hangs") from None
        finally:
            reading.cancel()
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader, last_stream: int) -> None:
        """Count the statuses until the service closes or has answered the last call."""
        decoder = Decoder()
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(9)
                frame, size = Frame.parse_frame_header(memoryview(head))
                frame.parse_body(memoryview(await reader.readexactly(size)))
                if isinstance(frame, HeadersFrame):
                    self._count(decoder, frame)
                    if frame.stream_id == last_stream and "END_STREAM" in frame.flags:
                        return

    def _count(self, decoder: Decoder, frame: HeadersFrame) -> None:
        for name, value in decoder.decode(frame.data):
            if name in {"grpc-status", b"grpc-status"}:
                self._statuses[str(value)] += 1
            elif name in {":status", b":status"}:
                assert int(value) < 500 or int(value) == 503, value
