"""Attackers in a process: hostile REST requests and gRPC connections, stalled transfers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection

import uvloop

from tests.e2e.hostile import Hostility
from tests.e2e.hostile import World as RestWorld
from tests.e2e.hostile_frames import HostileConnection
from tests.e2e.hostile_frames import World as CallWorld

_PEER = "127.0.0.9"
"""The attackers' address: what they do must not count against others."""

_CALLS_EACH = 20
_PATIENCE_S = 5.0
_STALL_S = 8.0
_REST_TASKS, _GRPC_TASKS, _STALLED_TASKS = 4, 2, 16


@dataclass(frozen=True)
class Target:
    """What is attacked.

    Attributes:
        token: A valid token.
        upload_path: The path of a media's audio.
    """

    rest: tuple[str, int]
    grpc: tuple[str, int]
    token: str
    upload_path: str
    world: RestWorld


def attack(target: Target, seed: int, told: Connection) -> None:
    """Attack until the process is terminated; tell how many connections were made each second."""
    uvloop.run(_Attack(target, seed, told).run())


class _Attack:
    def __init__(self, target: Target, seed: int, told: Connection) -> None:
        self._target = target
        self._seed = seed
        self._told = told
        self._numbers = count()
        self._hostility = Hostility(target.world, seed)
        self._calls = CallWorld(["", "unknown", target.token])

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for work, number in (
                (self._rest, _REST_TASKS),
                (self._grpc, _GRPC_TASKS),
                (self._stalled, _STALLED_TASKS),
            ):
                for _ in range(number):
                    tasks.create_task(self._forever(work))
            while True:
                await asyncio.sleep(1)
                self._told.send(next(self._numbers))

    async def _forever(self, work: Callable[[int], Awaitable[None]]) -> None:
        while True:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                await work(next(self._numbers))

    async def _rest(self, number: int) -> None:
        await self._sent(self._target.rest, [self._hostility.made(number).data])

    async def _grpc(self, number: int) -> None:
        hostile = HostileConnection(self._calls, self._seed, number)
        await self._sent(self._target.grpc, hostile.made(_CALLS_EACH))

    async def _stalled(self, number: int) -> None:
        """Begin an upload or a download and stop in the middle."""
        _, writer = await self._opened(self._target.rest)
        try:
            head = f"{self._target.upload_path} HTTP/1.1\r\nHost: a\r\n"
            head += f"X-Auth-Token: {self._target.token}\r\n"
            if number % 2:
                head = f"POST {head}Content-Type: audio/wav\r\nContent-Length: 8000000\r\n\r\n"
                writer.write(head.encode() + bytes(random.randrange(4_000_000)))
            else:
                writer.write(f"GET {head}Accept: audio/*\r\n\r\n".encode())
            await writer.drain()
            await asyncio.sleep(_STALL_S)
        finally:
            writer.transport.abort()

    async def _sent(self, address: tuple[str, int], pieces: list[bytes]) -> None:
        reader, writer = await self._opened(address)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                while await reader.read(1 << 16):
                    pass
        finally:
            writer.transport.abort()

    async def _opened(
        self, address: tuple[str, int]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*address, local_addr=(_PEER, 0))
