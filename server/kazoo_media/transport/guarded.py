"""Request id, access log and error statuses for every call of the typed services."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from kazoo_media.errors import InternalError, MediaError
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.transport.context import REQUEST_ID_KEY, Call, Context
from kazoo_media.transport.extent import bounded
from kazoo_media.transport.refused import RefusedError
from kazoo_media.transport.registry import Handler, Registry
from kazoo_media.transport.status import DETAILS_KEY, status_of

_log = structlog.get_logger()


class Guarded:
    """Registers services with a server and guards their calls.

    Each call gets a request id and an access line, each failure a status with its reason. Messages
    with too many fields are refused. Handlers are wrapped when they are registered: an interceptor
    would cost one more task per call.
    """

    def __init__(self, server: Registry, metrics: Metrics = NO_METRICS) -> None:
        self._server = server
        self._metrics = metrics

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        """Register the methods of a service."""
        wrapped = {
            name: _wrap(_Method(service_name, name, self._metrics), handler)
            for name, handler in method_handlers.items()
        }
        self._server.add_registered_method_handlers(service_name, wrapped)

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[object]) -> None:
        """Do nothing: generated code registers the same handlers by name."""


@dataclass(frozen=True, slots=True)
class _Method:
    service_name: str
    name: str
    metrics: Metrics


def _wrap(method: _Method, handler: Handler) -> Handler:
    deserialize: Any = handler.request_deserializer
    if deserialize is not None:  # generated code sets it to `FromString` of a message class
        deserialize = bounded(deserialize.__self__)
    codecs = deserialize, handler.response_serializer
    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(_single(method, handler.unary_unary), *codecs)
    if handler.stream_unary:
        return grpc.stream_unary_rpc_method_handler(_single(method, handler.stream_unary), *codecs)
    if handler.unary_stream:
        return grpc.unary_stream_rpc_method_handler(_stream(method, handler.unary_stream), *codecs)
    return grpc.stream_stream_rpc_method_handler(_stream(method, handler.stream_stream), *codecs)


def _single(method: _Method, behaviour: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a behaviour with one response. Its request is a message or an iterator."""

    async def answer(request: object, context: Context) -> object:
        async with _guarded(method, context):
            return await behaviour(request, context)

    return answer


def _stream(method: _Method, behaviour: Any) -> Callable[..., Any]:  # noqa: ANN401 - of two types
    """Wrap a behaviour with a stream of responses. Its request is a message or an iterator."""

    async def answer(request: object, context: Context) -> AsyncIterator[object]:
        async with _guarded(method, context), aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                yield response

    return answer


@asynccontextmanager
async def _guarded(method: _Method, context: Context) -> AsyncIterator[None]:
    call = Call.begin(context)
    # Trailing: initial metadata of its own would cost another 60 us.
    context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
    started = time.perf_counter()
    path = f"/{method.service_name}/{method.name}"
    code = "CANCELLED"
    failure: MediaError | None = None
    try:
        yield
        code = "OK"
    except MediaError as error:
        failure = error
    except RefusedError as refusal:
        code = refusal.code.name
        raise
    except Exception:  # noqa: BLE001 - the only place: no internal text reaches a client
        _log.exception("unexpected failure", method=path, request_id=call.request_id)
        failure = InternalError()
    finally:
        code = failure.code.name if failure else code
        method.metrics.call_ended("grpc", method.name, code)
        _log.info(
            "call",
            method=path,
            code=code,
            ms=round((time.perf_counter() - started) * 1000, 1),
            request_id=call.request_id,
            account_id=call.account_id,
            client_names=call.client_names,
        )
    if failure:
        await _abort(context, call, failure)


async def _abort(context: Context, call: Call, error: MediaError) -> None:
    code, text, details = status_of(error)
    await context.abort(code, text, ((REQUEST_ID_KEY, call.request_id), (DETAILS_KEY, details)))
