"""Requests that go past the gateway: the servicer gets from grpc.aio what it would make of them."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

import grpc.aio
from google.api import annotations_pb2
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from kazoo_media.crossbar.v2 import crossbar_service_pb2
from tests.gateway.rest.rig import Reply, Rest

_SERVICE = crossbar_service_pb2.DESCRIPTOR.services_by_name["CrossbarService"]
_MOST_BYTES = 1 << 20
_OPTIONS = [("grpc.max_metadata_size", 256 << 10), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True)
class Servicer:
    """Sends requests to the servicer of a running gateway, not through it."""

    rest: Rest

    def send(
        self, method: str, path: str, body: bytes | None, headers: Sequence[tuple[str, str]]
    ) -> Reply:
        """Send a request, its path and query as the gateway would pass them, and return the
        answer.
        """
        return self.rest.run(self._answered(method, path, body, headers))

    async def _answered(
        self, method: str, path: str, body: bytes | None, headers: Sequence[tuple[str, str]]
    ) -> Reply:
        rpc, fields = _located(method, path.partition("?")[0])
        metadata = _metadata(method, path, body, headers)
        messages = _messages(GetMessageClass(rpc.input_type), fields, body or b"")
        async with grpc.aio.insecure_channel(f"unix:{self.rest.socket}", _OPTIONS) as channel:
            name = f"/{_SERVICE.full_name}/{rpc.name}"
            codecs = type(messages[0]).SerializeToString, HttpBody.FromString
            if rpc.client_streaming:
                call: Any = channel.stream_unary(name, *codecs)(_each(messages), metadata=metadata)
                pieces = [await call]
            else:
                call = channel.unary_stream(name, *codecs)(messages[0], metadata=metadata)
                pieces = [piece async for piece in call]
            answer = dict(await call.initial_metadata())
        answer["content-type"] = pieces[0].content_type
        answer["x-request-id"] = dict(metadata)["x-request-id"]
        if "x-media-length" in answer:
            answer["content-length"] = answer.pop("x-media-length")
        status = int(answer.pop("x-http-status"))
        return Reply(status, answer, b"".join(piece.data for piece in pieces))


def _metadata(
    method: str, path: str, body: bytes | None, headers: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return what `gateway/kazoo.lua` makes of the head of a request."""
    sent = [(name.lower(), value) for name, value in headers]
    metadata = [
        ("x-rest-uri", path),
        ("x-rest-method", method),
        ("x-rest-peer", "127.0.0.1"),
        *(("x-rest-content-type", value) for name, value in sent if name == "content-type"),
        *((name, value) for name, value in sent if name != "content-type"),
    ]
    if body is not None:
        metadata.append(("x-rest-content-length", str(len(body))))
    if "x-request-id" not in dict(sent):
        metadata.append(("x-request-id", uuid.uuid4().hex))
    return metadata


def _messages(message_class: Any, fields: dict[str, str], body: bytes) -> list[Any]:
    """Return what the transcoder makes of a request: its fields are in the first message only."""
    if "body" not in message_class.DESCRIPTOR.fields_by_name:
        return [message_class(**fields)]
    pieces = [body[start : start + _MOST_BYTES] for start in range(0, len(body), _MOST_BYTES)]
    messages = [message_class(body=HttpBody(data=piece)) for piece in pieces or [b""]]
    messages[0].MergeFrom(message_class(**fields))
    return messages


async def _each(messages: list[Any]) -> AsyncIterator[Any]:
    for message in messages:
        yield message


def _located(method: str, path: str) -> tuple[MethodDescriptor, dict[str, str]]:
    """Return the rpc whose rule a request matches, and the variables of the path."""
    for verb, pattern, rpc in _rules():
        found = pattern.fullmatch(path.rstrip("/"))
        if verb == method and found:
            return rpc, {name: unquote(value) for name, value in found.groupdict().items()}
    return _SERVICE.methods_by_name["Fallback"], {}


@cache
def _rules() -> list[tuple[str, re.Pattern[str], MethodDescriptor]]:
    """Return verb, path and rpc of every rule; words come before variables."""
    found = sorted(_listed(), key=lambda rule: rule[1].count("{"))
    return [
        (verb, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), rpc)
        for verb, path, rpc in found
        if verb != "*"
    ]


def _listed() -> Iterator[tuple[str, str, MethodDescriptor]]:
    for rpc in _SERVICE.methods:
        first: Any = rpc.GetOptions().Extensions[annotations_pb2.http]
        for rule in (first, *first.additional_bindings):
            kind = rule.WhichOneof("pattern")
            custom = kind == "custom"
            path = rule.custom.path if custom else getattr(rule, kind)
            yield rule.custom.kind if custom else kind.upper(), path, rpc
