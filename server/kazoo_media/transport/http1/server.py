"""The worker's server: gRPC services behind the gateway, on a unix socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kazoo_media.transport.budget import Budget
from kazoo_media.transport.context import Context
from kazoo_media.transport.http1.connection import Connection
from kazoo_media.transport.registry import Handler

_BACKLOG = 4096
_STALLED_S = 60.0
_LOOK_S = 1.0


class WorkerServer:
    """Serves the registered services like a server of grpc.aio."""

    def __init__(self, budget: Budget, recognize: Callable[[Context], Awaitable[None]]) -> None:
        """Make a server.

        Args:
            budget: Counts the incomplete requests.
            recognize: Raises the error for a caller who is not known; called before a message of
                more than 64 KiB is received.
        """
        self._budget = budget
        self._recognize = recognize
        self._handlers: dict[str, Handler] = {}
        self._connections: set[Connection] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        """Answer the methods of a service."""
        for name, handler in method_handlers.items():
            self._handlers[f"/{service_name}/{name}"] = handler

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[object]) -> None:
        """Do nothing: generated code registers the same handlers by name."""

    async def start(self, path: Path) -> None:
        """Listen on a unix socket."""
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(
                self._handlers.get,
                self._connections,
                self._calls,
                self._budget,
                self._recognize,
            ),
            str(path),
            backlog=_BACKLOG,
        )
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self, grace_s: float) -> None:
        """Accept no more connections, wait for calls and answers for a while, cancel the rest."""
        if self._server is not None:
            self._server.close()
            self._watching.cancel()
        for connection in tuple(self._connections):
            connection.close_soon()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                for connection in tuple(self._connections):
                    await connection.wait_closed()
                if self._calls:  # of disconnected clients: they still clean up
                    await asyncio.wait(self._calls)
        for connection in tuple(self._connections):
            connection.break_off()
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)
        await asyncio.sleep(0)  # closing sockets are closed in the loop's next turn

    def end_stalled(self, now_s: float) -> None:
        """End the calls of clients that have left or whose message has not grown for a minute."""
        for connection in tuple(self._connections):
            connection.end_stalled(now_s - _STALLED_S)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self.end_stalled(time.monotonic())
