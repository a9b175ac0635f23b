"""A worker that says what reached it, for tests of the gateway alone.

Every rpc of the Crossbar service answers with JSON: its name, the fields, the metadata, how many
bytes and messages the body had. The query asks for another behaviour: `?do=poison&length=1`.

    python -m tests.gateway.stub_worker SOCKET
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import structlog
import uvloop
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message_factory import GetMessageClass

from kazoo_media.crossbar.v2 import crossbar_service_pb2
from kazoo_media.transport.serializers import POISON, Pieces, pass_through
from kazoo_media.transport.standard_services import add_standard_services
from tests.gateway.probe import SERVICE as PROBE
from tests.gateway.probe import Probe
from tests.support.engines import worker_server

_SERVICE = crossbar_service_pb2.DESCRIPTOR.services_by_name["CrossbarService"]
_CHUNK = bytes(256 * 1024)
_FACTORIES = {
    False: grpc.unary_stream_rpc_method_handler,
    True: grpc.stream_stream_rpc_method_handler,
}


class _Call:
    """One call, as the query wants it."""

    def __init__(self, rpc: str, context: Any) -> None:
        self.rpc = rpc
        self.context = context
        self.metadata: dict[str, list[str]] = {}
        for key, value in context.invocation_metadata():
            self.metadata.setdefault(key, []).append(value)
        query = parse_qs(urlsplit(self.metadata.get("x-rest-uri", [""])[0]).query)
        self.options = {key: values[-1] for key, values in query.items()}
        self.seen: dict[str, Any] = {"fields": {}, "content_type": "", "body": 0, "messages": 0}

    def take(self, request: Any) -> None:
        """Count a message; keep the fields of the first."""
        if not self.seen["messages"]:
            listed = request.ListFields()
            self.seen["fields"] = {field.name: v for field, v in listed if field.name != "body"}
        self.seen["messages"] += 1
        body = getattr(request, "body", None)
        if body is not None:
            self.seen["content_type"] = self.seen["content_type"] or body.content_type
            self.seen["body"] += len(body.data)
            if len(body.data) < 1024:
                self.seen["text"] = self.seen.get("text", "") + body.data.decode(errors="replace")

    def answer(self) -> HttpBody:
        """Return what was seen."""
        seen = {"rpc": self.rpc, "metadata": self.metadata, **self.seen}
        data = json.dumps(seen).encode()
        data += b" " * int(self.options.get("pad", "0"))
        return HttpBody(content_type="application/json", data=data)

    async def send_headers(self, length: int | None) -> None:
        """Send status and headers that the query names."""
        headers = [("x-http-status", self.options.get("status", "200"))]
        if length is not None and "unsized" not in self.options:
            headers.append(("x-media-length", str(length)))
        headers += [(key[2:], value) for key, value in self.options.items() if key[:2] == "h-"]
        await self.context.send_initial_metadata(tuple(headers))

    async def fail(self) -> None:
        """Fail the way the query names, if any."""
        if "abort" in self.options:
            await self.context.abort(
                grpc.StatusCode[self.options["abort"]], "a secret of the worker"
            )
        if self.options.get("do") == "raise":
            raise RuntimeError("a secret of the worker")


async def _collect(call: _Call, requests: AsyncIterator[Any]) -> AsyncIterator[HttpBody]:
    await call.fail()
    if "early" not in call.options:
        async for request in requests:
            call.take(request)
            if call.seen["messages"] == 1:
                _say("first message", call)
            await asyncio.sleep(float(call.options.get("pause", "0")))
    _say("end of stream", call)
    await asyncio.sleep(0.2 if "log" in call.options else 0)
    answer = call.answer()
    await call.send_headers(len(answer.data))
    for start in range(0, len(answer.data), len(_CHUNK)):
        data = answer.data[start : start + len(_CHUNK)]
        yield HttpBody(content_type="application/json", data=data)


async def _stream(call: _Call, request: Any) -> AsyncIterator[HttpBody | Pieces]:
    call.take(request)
    await call.fail()
    if "chunks" not in call.options:
        _say("asked", call)
        await asyncio.sleep(float(call.options.get("pause", "0")))
        answer = call.answer()
        await call.send_headers(len(answer.data))
        yield HttpBody(content_type="application/json") if _is_head(call) else answer
        return
    count = int(call.options["chunks"])
    await call.send_headers(count * len(_CHUNK))
    for index in range(count):
        if call.options.get("do") == "poison" and index == count // 2:
            yield (POISON,)
            await call.context.abort(grpc.StatusCode.INTERNAL, "")
        if call.options.get("do") == "abort" and index == count // 2:
            await call.context.abort(grpc.StatusCode.INTERNAL, "")
        yield HttpBody(content_type="audio/wav", data=_CHUNK)
        await asyncio.sleep(float(call.options.get("pause", "0")))


def _is_head(call: _Call) -> bool:
    return call.metadata["x-rest-method"] == ["HEAD"]


def _say(event: str, call: _Call) -> None:
    if "log" in call.options:
        line = {"event": event, "call": call.options["log"], **call.seen}
        # In one piece: the other workers have the same file.
        os.write(1, json.dumps({**line, "cancelled": call.context.cancelled()}).encode() + b"\n")


def _handler(method: Any) -> Any:
    async def collect(
        requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[HttpBody | Pieces]:
        call = _Call(method.name, context)
        try:
            async for message in _collect(call, requests):
                yield message
        except asyncio.CancelledError:
            _say("cancelled", call)
            raise

    async def stream(request: Any, context: Any) -> AsyncIterator[HttpBody | Pieces]:
        async for message in _stream(_Call(method.name, context), request):
            yield message

    factory: Any = _FACTORIES[method.client_streaming]
    return factory(
        collect if method.client_streaming else stream,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=pass_through,
    )


async def _serve(path: str) -> None:
    # Standard output is for what the worker says about its calls.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    server = worker_server()
    await add_standard_services(server, [_SERVICE.full_name], [])
    handlers = {method.name: _handler(method) for method in _SERVICE.methods}
    server.add_registered_method_handlers(_SERVICE.full_name, handlers)
    server.add_registered_method_handlers(PROBE, Probe().handlers())
    await server.start(Path(path))
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
