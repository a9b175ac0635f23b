"""The standard engine: gRPC over HTTP/2 by grpc.aio, for any client, proxy or service mesh."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc.aio

from kazoo_media.transport.aio.call import Call
from kazoo_media.transport.aio.metadata import believed
from kazoo_media.transport.context import Context
from kazoo_media.transport.registry import Handler

_OPTIONS = (
    # Limits the memory of a stalled upload; gRPC's own estimate lets it grow to 17 MB.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1 << 20),
    # A transcoder repeats the URI in three headers, each of up to 60 KiB.
    ("grpc.max_metadata_size", 256 << 10),
    ("grpc.absolute_max_metadata_size", 256 << 10),
    ("grpc.max_concurrent_streams", 1024),
    # A second server on the port must fail instead of sharing it.
    ("grpc.so_reuseport", 0),
    # A recorder may pause for hours: pings find dead peers, and clients may send their own.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)
_LAST_WORD_S = 0.1
"""How long watchers of the health service may take to receive its last status."""

_FACTORIES: Mapping[tuple[bool, bool], Any] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files for TLS.

    Attributes:
        client_ca: If set, clients must present a certificate signed by this CA.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


class StandardServer:
    """Serves the registered services over HTTP/2."""

    def __init__(self, *, behind_transcoder: bool = False) -> None:
        """Make a server.

        Args:
            behind_transcoder: All peers are transcoders whose `x-rest-*` and `x-envoy-*` headers
                are trusted. Otherwise these headers are removed.
        """
        self._server = grpc.aio.server(options=_OPTIONS)
        self._behind_transcoder = behind_transcoder
        self._calls: set[asyncio.Task[Any]] = set()
        self._standing: set[asyncio.Task[Any]] = set()
        self._is_stopping = self._is_broken_off = False

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        """Answer the methods of a service."""
        # Calls that watch the health never end by themselves: a stop does not wait for them.
        running = self._standing if service_name.startswith("grpc.") else self._calls
        wrapped = {
            name: _FACTORIES[handler.request_streaming, handler.response_streaming](
                self._behaviour(handler, running),
                response_serializer=handler.response_serializer,
            )
            for name, handler in method_handlers.items()
        }
        self._server.add_registered_method_handlers(service_name, wrapped)

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[object]) -> None:
        """Do nothing: generated code registers the same handlers by name."""

    async def start(self, address: str, tls: Tls | None = None) -> str:
        """Listen on HOST:PORT or unix:PATH; return the address, with the real port for port 0.

        Raises:
            OSError: the address cannot be listened on, or a file of `tls` cannot be read.
            ValueError: the files of `tls` do not hold a certificate and its key.
        """
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                credentials = await asyncio.to_thread(_credentials, tls)
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:  # the only error that gRPC reports
            raise OSError(f"{address} cannot be listened on") from error
        await self._server.start()
        host, _, asked = address.rpartition(":")
        return f"{host}:{port}" if asked == "0" else address

    async def stop(self, grace_s: float) -> None:
        """Accept no more calls, wait for running ones for a while, cancel the rest.

        To be called once.
        """
        self._is_stopping = True
        if self._is_broken_off:
            grace_s = 0
        stopping = asyncio.ensure_future(self._server.stop(grace_s or None))
        await asyncio.sleep(0)  # no call is taken from now on
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace_s)
        if self._standing:
            await asyncio.wait(self._standing, timeout=_LAST_WORD_S)
        for task in self._standing:
            task.cancel()
        await stopping
        if self._calls:  # cancelled ones still clean up
            await asyncio.wait(self._calls)

    def break_off(self) -> None:
        """Cancel all calls; a `stop` does not wait for any, whether it runs or begins later."""
        self._is_broken_off = True
        for task in self._calls:
            task.cancel()

    def _behaviour(
        self, handler: Handler, running: set[asyncio.Task[Any]]
    ) -> Callable[[Any, Context], Awaitable[Any]]:
        async def answer(request: Any, context: Context) -> Any:  # noqa: ANN401 - of any rpc
            task = cast("asyncio.Task[Any]", asyncio.current_task())
            running.add(task)
            task.add_done_callback(running.discard)
            metadata = believed(context, behind_transcoder=self._behind_transcoder)
            try:
                return await Call(context, metadata).run(handler, request)
            except asyncio.CancelledError:
                if self._is_stopping:  # otherwise the client has disconnected
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "the service is stopping")
                raise

        return answer


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    pair = tls.key.read_bytes(), tls.cert.read_bytes()
    client_ca = tls.client_ca.read_bytes() if tls.client_ca else None
    return grpc.ssl_server_credentials([pair], client_ca, tls.client_ca is not None)
