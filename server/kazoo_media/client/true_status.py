"""The status with which the service ended a call."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import grpc
import grpc.aio

_LIBRARY_DETAILS = "Internal error from Core"
"""Text of the status that grpc.aio makes up when a write fails."""

_LATEST_S = 10.0
T = TypeVar("T")


class TrueStatus:
    """The first status of a call that grpc.aio has not made up.

    Theory of operation:

    1. A service that refuses a stream ends the call while the client still sends. Its status
       arrives, and a later write fails.
    2. grpc.aio then replaces the call's status by one of its own
       (https://github.com/grpc/grpc/issues/36066).
    3. If the service's status arrived first, a callback has kept it. If the write failed first, the
       callback runs again when the service's status arrives.
    """

    def __init__(self, call: grpc.aio.Call) -> None:
        """Watch a new call."""
        self._arrived = asyncio.Event()
        self.refusal: grpc.aio.AioRpcError | None = None
        self._made_up: grpc.aio.AioRpcError | None = None
        call.add_done_callback(self._keep)

    async def wait(self) -> grpc.aio.AioRpcError | None:
        """Return the service's error after the call has ended; None if it ended OK.

        If the service's status does not follow, the one that grpc.aio has made up is returned.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_LATEST_S):
                await self._arrived.wait()
        return self.refusal or self._made_up

    def _keep(self, call: Any) -> None:  # noqa: ANN401 - a call of any kind
        code, details = _at_once(call.code()), _at_once(call.details())
        if self._arrived.is_set():
            return
        if details == _LIBRARY_DETAILS:
            nothing = grpc.aio.Metadata()
            self._made_up = grpc.aio.AioRpcError(code, nothing, nothing, details)
            return
        self._made_up = None
        if code is not grpc.StatusCode.OK:
            self.refusal = grpc.aio.AioRpcError(
                code,
                _at_once(call.initial_metadata()),
                _at_once(call.trailing_metadata()),
                details,
            )
        self._arrived.set()


def _at_once(answer: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that does not wait, such as those of an ended call."""
    try:
        answer.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("the call has not ended")
