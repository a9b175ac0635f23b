"""What happens around every call of the typed services: request id, access log, errors."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

import grpc.aio
import structlog
from typing_extensions import override

from kazoo_media.errors import InternalError, MediaError
from kazoo_media.transport.context import REQUEST_ID_KEY, Call, Context
from kazoo_media.transport.status import DETAILS_KEY, status_of

_TYPED_SERVICES = "/kazoo_media.v1."
"""Health, reflection and the REST surface have ways of their own."""

_log = structlog.get_logger()

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Gives each call a request id and an access line, and each failure a status with its reason.

    Handlers are wrapped once for each method, not for each call: what is done a call stays small
    beside grpc.aio's own work.
    """

    def __init__(self) -> None:
        self._wrapped: dict[str, tuple[_Handler, _Handler]] = {}

    @override
    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(_TYPED_SERVICES):
            return handler
        original, wrapped = self._wrapped.get(method, (None, handler))
        if original is not handler:
            wrapped = _wrap(method, handler)
            self._wrapped[method] = handler, wrapped
        return wrapped


def _wrap(method: str, handler: _Handler) -> _Handler:
    codecs = handler.request_deserializer, handler.response_serializer
    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(_single(method, handler.unary_unary), *codecs)
    if handler.stream_unary:
        return grpc.stream_unary_rpc_method_handler(_single(method, handler.stream_unary), *codecs)
    if handler.unary_stream:
        return grpc.unary_stream_rpc_method_handler(_stream(method, handler.unary_stream), *codecs)
    return grpc.stream_stream_rpc_method_handler(_stream(method, handler.stream_stream), *codecs)


def _single(method: str, behaviour: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a behaviour with one response; its request is a message or an iterator."""

    async def answer(request: object, context: Context) -> object:
        async with _guarded(method, context):
            return await behaviour(request, context)

    return answer


def _stream(method: str, behaviour: Any) -> Callable[..., Any]:  # noqa: ANN401 - of two types
    """Wrap a behaviour with a stream of responses; its request is a message or an iterator."""

    async def answer(request: object, context: Context) -> AsyncIterator[object]:
        async with _guarded(method, context), aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                yield response

    return answer


@asynccontextmanager
async def _guarded(method: str, context: Context) -> AsyncIterator[None]:
    call = Call.begin(context)
    # Trailing: initial metadata of its own would cost another 60 us.
    context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
    started = time.perf_counter()
    code = "CANCELLED"
    failure: MediaError | None = None
    try:
        yield
        code = "OK"
    except MediaError as error:
        failure = error
    except Exception:  # noqa: BLE001 - the one place: nothing unnamed reaches a client
        _log.exception("unexpected failure", method=method, request_id=call.request_id)
        failure = InternalError()
    finally:
        _log.info(
            "call",
            method=method,
            code=failure.code.name if failure else code,
            ms=round((time.perf_counter() - started) * 1000, 1),
            request_id=call.request_id,
            account_id=call.account_id,
        )
    if failure:
        await _abort(context, call, failure)


async def _abort(context: Context, call: Call, error: MediaError) -> None:
    code, text, details = status_of(error)
    await context.abort(code, text, ((REQUEST_ID_KEY, call.request_id), (DETAILS_KEY, details)))
