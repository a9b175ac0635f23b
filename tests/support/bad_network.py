"""A network between client and service that cuts, resets and stalls connections, by a seed."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

_KINDS = ("cut", "reset", "stall")
_BLOCK_BYTES = 16384


class BadNetwork:
    """A TCP proxy with a thread of its own; `with` runs it.

    Each connection passes a random number of bytes, half of the block that goes over it, and then
    nothing more: it is closed, reset, or stays open in silence.

    Attributes:
        target: host:port to connect to.
        ends: How many connections have ended in each way.
    """

    def __init__(self, target: str, seed: int, mean_bytes: int) -> None:
        host, _, port = target.rpartition(":")
        self._upstream = (host, int(port))
        self._random = random.Random(seed)
        self._mean_bytes = mean_bytes
        self._is_calm = False
        self._fates: list[_Fate] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self.ends: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(20)
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def fall_silent(self) -> None:
        """Let nothing more pass on the connections that are open."""
        for fate in self._fates:
            fate.left_bytes, fate.kind = -1, "stall"

    def calm(self) -> None:
        """Do no harm from now on, except to connections that are stalled."""
        self._is_calm = True

    async def _listen(self) -> None:
        self._stopped = asyncio.Event()  # also what keeps stalled tasks from being collected
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    async def _stop(self) -> None:
        self._server.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # the transports close their sockets in the next turn of the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        self._writers.add(writer)
        try:
            # Cancelled at the end; asyncio would print that.
            with suppress(OSError, asyncio.CancelledError):
                up_reader, up_writer = await asyncio.open_connection(*self._upstream)
                writers.append(up_writer)
                self._writers.add(up_writer)
                await self._pass(_Line(reader, up_writer), _Line(up_reader, writer))
        finally:
            for each in writers:
                each.close()

    async def _pass(self, *lines: _Line) -> None:
        fate = _Fate(
            int(self._random.expovariate(1 / self._mean_bytes)), self._random.choice(_KINDS)
        )
        self._fates.append(fate)
        pumps = [self._loop.create_task(self._pump(line, fate)) for line in lines]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        if not fate.is_due:
            return
        self.ends[fate.kind] += 1
        if fate.kind == "stall":
            await self._stopped.wait()
        elif fate.kind == "reset":
            for line in lines:
                line.reset()

    async def _pump(self, line: _Line, fate: _Fate) -> None:
        with suppress(OSError):
            while data := await line.reader.read(_BLOCK_BYTES):
                fate.left_bytes -= 0 if self._is_calm else len(data)
                if fate.is_due:
                    line.writer.write(data[: len(data) // 2])
                    return
                line.writer.write(data)
                await line.writer.drain()


class _Line:
    """One direction of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def reset(self) -> None:
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class _Fate:
    """How a connection will end, and the bytes it passes until then in both directions."""

    left_bytes: int
    kind: str

    @property
    def is_due(self) -> bool:
        return self.left_bytes < 0
