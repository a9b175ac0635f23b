"""One call: its servicer, the servicer's context, and the answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, NoReturn, Protocol

import grpc.aio
import structlog

from kazoo_media.errors import MediaError
from kazoo_media.transport.http1 import wire
from kazoo_media.transport.http1.messages import Messages
from kazoo_media.transport.refused import RefusedError
from kazoo_media.transport.registry import Handler
from kazoo_media.transport.status import DETAILS_KEY, status_of

_log = structlog.get_logger()


class Outlet(Protocol):
    """The destination of the bytes of an answer."""

    def send(self, pieces: Sequence[bytes]) -> None:
        """Send soon, together with the bytes that follow immediately."""

    async def drained(self) -> None:
        """Return when there is room for more."""

    def end(self, piece: bytes) -> None:
        """Send the last bytes of the answer."""

    def break_off(self) -> None:
        """Close at once, so that the answer does not look complete."""


class Call:
    """One call. It is the context of its servicer and behaves like that of grpc.aio."""

    def __init__(
        self,
        handler: Handler,
        metadata: wire.Metadata,
        messages: Messages,
        outlet: Outlet,
    ) -> None:
        self.messages = messages
        self._handler = handler
        self._metadata = metadata
        self._outlet = outlet
        self._trailing = b""
        self._has_head = False
        self._head = b""
        self._status: tuple[int, str] = grpc.StatusCode.OK.value[0], ""
        self._is_over = False
        self._is_cancelled = False

    def invocation_metadata(self) -> wire.Metadata:
        """Return the metadata of the request."""
        return self._metadata

    async def send_initial_metadata(self, metadata: wire.Metadata) -> None:
        """Send the head of the answer.

        It waits for the message if that is the only one and the client has ended its stream.
        """
        if self._head or self._has_head:
            raise grpc.aio.UsageError("the initial metadata were already sent")
        self._head = wire.head(metadata)
        if self._handler.response_streaming or not self.messages.is_ended:
            self._send(())

    def set_trailing_metadata(self, metadata: wire.Metadata) -> None:
        """Set the trailing metadata, which are sent with the status."""
        self._trailing = wire.lines(metadata)

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: wire.Metadata = ()
    ) -> NoReturn:
        """End the call with a status."""
        self._status = code.value[0], details
        if trailing_metadata:
            self._trailing = wire.lines(trailing_metadata)
        raise grpc.aio.AbortError

    def cancelled(self) -> bool:
        """Return whether the client has disconnected or its deadline has passed."""
        return self._is_cancelled

    async def write(self, message: Any) -> None:  # noqa: ANN401 - of any rpc
        """Send a message, which may be in serialized pieces; return when there is room for the
        next.
        """
        serialize = self._handler.response_serializer
        if not isinstance(message, tuple):
            message = (serialize(message) if serialize else message,)
        self._send(wire.chunk(message))
        await self._outlet.drained()

    def start(self) -> asyncio.Task[None]:
        """Run the servicer and end the answer."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self._task

    def cancel(self) -> None:
        """Cancel the call: its client has disconnected."""
        self._is_cancelled = self._is_over = True
        self._task.cancel()

    def expire(self) -> None:
        """Cancel the call: its deadline has passed."""
        self._end_late("the deadline has passed")

    def stall(self) -> None:
        """Cancel the call: its request does not go on."""
        self._end_late("a message has begun and does not go on")

    def _end_late(self, details: str) -> None:
        self._status = grpc.StatusCode.DEADLINE_EXCEEDED.value[0], details
        self._end()
        self.cancel()

    async def _run(self) -> None:
        try:
            await self._answer()
        except grpc.aio.AbortError:
            pass  # `abort` has kept the status
        except RefusedError as refusal:
            self._status = refusal.code.value[0], refusal.details
        except MediaError as error:
            code, text, facts = status_of(error)
            self._status = code.value[0], text
            self._trailing = wire.lines(((DETAILS_KEY, facts),))
        except asyncio.CancelledError:
            if not self._is_over:
                self._outlet.break_off()
            raise
        except Exception:  # noqa: BLE001 - the last resort: no internal text reaches a client
            _log.exception("a call failed")
            self._status = grpc.StatusCode.INTERNAL.value[0], "internal error"
        self._end()

    async def _answer(self) -> None:
        handler = self._handler
        request = self.messages if handler.request_streaming else await self._only_message()
        behaviour: Any = (
            handler.unary_stream
            or handler.stream_unary
            or handler.unary_unary
            or handler.stream_stream
        )
        if not handler.response_streaming:
            await self.write(await behaviour(request, self))
            return
        responses = behaviour(request, self)
        if inspect.isasyncgen(responses):
            async with aclosing(responses):
                async for response in responses:
                    await self.write(response)
        else:
            await responses  # it calls `write`

    async def _only_message(self) -> Any:  # noqa: ANN401 - of any rpc
        async for message in self.messages:
            return message
        raise RefusedError(grpc.StatusCode.INTERNAL, "a request without a message")

    def _send(self, pieces: Sequence[bytes]) -> None:
        """Send pieces of the answer, after its head if they are the first."""
        if not self._has_head:
            self._has_head = True
            self.messages.note_answered()
            pieces = (self._head or wire.head(()), *pieces)
        # A message after the end of the call would become part of the next call's answer.
        if not self._is_over:
            self._outlet.send(pieces)

    def _end(self) -> None:
        if not self._is_over:
            if self._head and not self._has_head:
                self._send(())
            self._is_over = True
            last = wire.end if self._has_head else wire.only_status
            self._outlet.end(last(*self._status, self._trailing))
