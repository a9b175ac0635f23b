"""Connections for many streams: the service carries about a thousand on each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio

_MOST_STREAMS = 1000  # the service permits 1,024


@dataclass(slots=True, eq=False)
class SharedChannel:
    """A connection that several streams use.

    Attributes:
        is_broken: Set by a stream when nothing arrives any more: no other stream gets it.
    """

    channel: grpc.aio.Channel
    stream_count: int = 0
    is_broken: bool = False


class Channels:
    """Opens a connection when those that are open have their number of streams."""

    def __init__(self, open_: Callable[[], Awaitable[grpc.aio.Channel]]) -> None:
        self._open = open_
        self._shared: list[SharedChannel] = []
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[SharedChannel]:
        """Yield a connection for one stream.

        Raises:
            OSError: a TLS file cannot be read.
        """
        async with self._opening:
            shared = next(filter(_has_room, self._shared), None)
            if shared is None:
                shared = SharedChannel(await self._open())
                self._shared.append(shared)
            shared.stream_count += 1
        try:
            yield shared
        finally:
            shared.stream_count -= 1
            if shared.is_broken and not shared.stream_count:
                self._shared.remove(shared)
                await shared.channel.close()

    async def aclose(self) -> None:
        """Close all connections."""
        for each in self._shared:
            await each.channel.close()


def _has_room(shared: SharedChannel) -> bool:
    return not shared.is_broken and shared.stream_count < _MOST_STREAMS
