"""The worker's server: gRPC services behind the gateway, on a unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kazoo_media.transport.http1.connection import Connection
from kazoo_media.transport.registry import Handler

_BACKLOG = 4096


class WorkerServer:
    """Serves the registered services like a server of grpc.aio."""

    def __init__(self) -> None:
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
            lambda: Connection(self._handlers.get, self._connections, self._calls),
            str(path),
            backlog=_BACKLOG,
        )

    async def stop(self, grace_s: float) -> None:
        """Accept no more connections, wait for calls and answers for a while, cancel the rest."""
        if self._server is not None:
            self._server.close()
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
