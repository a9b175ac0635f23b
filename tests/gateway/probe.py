"""A service of all four kinds of rpc that does what its request says.

The same on both engines: `tests/gateway/test_calls.py` compares them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc

SERVICE = "kazoo_media.v1.ProbeService"
FLOOD_CHUNK = bytes(256 * 1024)


class Probe:
    """The behaviours, and what became of earlier calls."""

    def __init__(self) -> None:
        self._facts = {"begun": 0, "cancelled": 0, "sent": 0, "taken": 0}

    def handlers(self) -> dict[str, Any]:
        """Return the four rpcs; messages are bytes."""
        return {
            "unary_unary": grpc.unary_unary_rpc_method_handler(self._unary_unary),
            "unary_stream": grpc.unary_stream_rpc_method_handler(self._unary_stream),
            "stream_unary": grpc.stream_unary_rpc_method_handler(self._stream_unary),
            "stream_stream": grpc.stream_stream_rpc_method_handler(self._stream_stream),
        }

    async def _unary_unary(self, request: bytes, context: Any) -> bytes:
        match request:
            case b"facts":
                return json.dumps(self._facts).encode()
            case b"metadata":
                sent = [tuple(each) for each in context.invocation_metadata()]
                shown = ("x-probe", "x-forwarded-client-cert")
                return repr([each for each in sent if each[0].startswith(shown)]).encode()
            case b"say more":
                await context.send_initial_metadata(
                    (("x-first", "1"), ("x-first-bin", b"\x00\xff"))
                )
                context.set_trailing_metadata((("x-last", "2"), ("x-last-bin", b"\xfe")))
            case b"abort":
                why = (("x-why", "because"), ("x-why-bin", b"\x00"))
                await context.abort(grpc.StatusCode.NOT_FOUND, "no żaba: 100 %\n", why)
            case b"raise":
                raise RuntimeError("the password is in /etc/x")
            case b"split a header":
                await context.send_initial_metadata((("x-first", "1\r\nx-second: 2"),))
            case b"wait":
                await self._wait()
        return request

    async def _unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        del context
        if request == b"flood":
            while True:
                self._facts["sent"] += 1
                yield FLOOD_CHUNK
        for number in range(int(request)):
            yield b"%d" % number

    async def _stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        total = 0
        async for request in requests:
            match request:
                case b"invite":
                    await context.send_initial_metadata((("x-first", "1"),))
                case b"enough":
                    return b"early"
                case b"wait":
                    await self._wait()
            self._facts["taken"] += 1
            total += len(request)
        return b"%d" % total

    async def _stream_stream(
        self, requests: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request
            if request == b"abort":
                await context.abort(grpc.StatusCode.ABORTED, "half-way")

    async def _wait(self) -> None:
        self._facts["begun"] += 1
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self._facts["cancelled"] += 1
            raise
