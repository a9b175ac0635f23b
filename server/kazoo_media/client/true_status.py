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
_POLL_S = 0.02
T = TypeVar("T")


class TrueStatus:
    """The status of a call that grpc.aio has not made up.

    Theory of operation:

    1. A service that refuses a stream ends the call while the client still sends. Its status
       arrives, and a write fails, in either order.
    2. grpc.aio replaces the status of a call by one of its own when a write fails
       (https://github.com/grpc/grpc/issues/36066), and by the service's when that arrives.
    3. If the service's status arrived first, the callback of the call's end has kept it. If the
       write failed first, nothing tells when the service's follows: the call is asked.
    4. The service's status comes after its last message: it does not follow while nobody reads.
    """

    def __init__(self, call: grpc.aio.Call) -> None:
        """Watch a new call."""
        self._call = call
        self._is_known = False
        self.refusal: grpc.aio.AioRpcError | None = None
        call.add_done_callback(self._keep)

    async def wait(self) -> grpc.aio.AioRpcError | None:
        """Return the service's error after the call has ended; None if it ended OK.

        Somebody reads meanwhile, or has read until the end. If the service's status does not
        follow, the one that grpc.aio has made up is returned.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_LATEST_S):
                await self._call.code()
                self._keep(self._call)
                while not self._is_known:
                    await asyncio.sleep(_POLL_S)
                    self._keep(self._call)
        if self._is_known or not self._call.done():
            return self.refusal
        return _error_of(self._call)

    def _keep(self, call: grpc.aio.Call) -> None:
        """Keep the status of an ended call if it is the service's."""
        if self._is_known or _at_once(call.details()) == _LIBRARY_DETAILS:
            return
        self._is_known = True
        if _at_once(call.code()) is not grpc.StatusCode.OK:
            self.refusal = _error_of(call)


def _error_of(call: grpc.aio.Call) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        _at_once(call.code()),
        _at_once(call.initial_metadata()),
        _at_once(call.trailing_metadata()),
        _at_once(call.details()),
    )


def _at_once(answer: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that does not wait, such as those of an ended call."""
    try:
        answer.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("the call has not ended")
