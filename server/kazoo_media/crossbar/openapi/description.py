"""The OpenAPI description of the REST surface.

It is generated from the code that serves it: paths, verbs and comments of the proto file, the table
of operations, the rules of documents and the error classes.

Source: OpenAPI 3.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from kazoo_media.crossbar.openapi.operations import (
    BODIES,
    FACTS,
    PARAMETERS,
    Facts,
    refusals_of,
    success_answer,
)
from kazoo_media.crossbar.openapi.schemas import Schema, error_answers, reference, schemas
from kazoo_media.crossbar.operations import OPERATIONS, Operation, Target
from kazoo_media.resources import gateway_folder

_PROTO = "kazoo_media/crossbar/v2/crossbar_service.proto"
_VARIABLE = re.compile(r"\{(\w+)\}")
_V1 = (
    "The same as /v2, except for lists: they are not paged, and the media of a prompt are objects"
    " with `id` and `has_attachments`"
)
_SHAPES: Mapping[str, Schema] = {
    "account_id": {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"},
    "name": {"type": "string", "pattern": r"^.+\.[A-Za-z0-9]+$"},
    "attachment": {"type": "string", "pattern": r"^raw(\.[A-Za-z0-9]+)?$"},
}
_TOKENS: Sequence[Schema] = [{"token": []}, {"query_token": []}, {"bearer": []}]
_SERVICE_FIELD, _METHOD_FIELD, _MESSAGE_FIELD, _FIELD_FIELD = 6, 2, 4, 2
"""Field numbers of descriptor.proto; the path of a comment consists of them."""


def described(version: str) -> bytes:
    """Return the description as JSON."""
    return orjson.dumps(_description(version))


def _description(version: str) -> Schema:
    proto = _Proto.read()
    paths: dict[str, Schema] = {}
    for method, verb, path in proto.rules():
        item = paths.setdefault(path.removeprefix("/v2"), _path_item(proto, method, path))
        item[verb.lower()] = _operation(proto, method, verb, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kazoo-media",
            "version": version,
            "description": proto.comment_of_file(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/v2"}, {"url": "/v1", "description": _V1}],
        "security": _TOKENS,
        "paths": paths,
        "components": _components(),
    }


def _components() -> Schema:
    return {
        "schemas": schemas(),
        "responses": error_answers(),
        "parameters": {name: {"name": name, **each} for name, each in PARAMETERS.items()},
        "requestBodies": {name: {"content": content} for name, content in BODIES.items()},
        "securitySchemes": {
            "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
            "query_token": {"type": "apiKey", "in": "query", "name": "auth_token"},
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "basic": {
                "type": "http",
                "scheme": "basic",
                "description": "Account id, and a playback key or the API key of the account",
            },
            "playback_key": {"type": "apiKey", "in": "query", "name": "key"},
        },
    }


def _path_item(proto: _Proto, method: MethodDescriptorProto, path: str) -> Schema:
    parameters = [
        {
            "in": "path",
            "name": name,
            "required": True,
            "description": proto.comment_of_field(method.input_type, name),
            "schema": _SHAPES.get(name, {"type": "string", "minLength": 1}),
        }
        for name in _VARIABLE.findall(path)
    ]
    return {"parameters": parameters} if parameters else {}


def _operation(proto: _Proto, method: MethodDescriptorProto, verb: str, path: str) -> Schema:
    verbs = _verbs_of(path)
    operation = verbs.get("GET" if verb == "HEAD" else verb)
    tunnelled = operation is None
    if operation is None:
        operation = next(each for each in verbs.values() if FACTS[each].body)
    facts = FACTS[operation]
    scope = "" if "{account_id}" in path or not facts.needs_token else "System"
    suffix = verb.title() if tunnelled or verb == "HEAD" else ""
    described_operation: Schema = {
        "operationId": f"{method.name}{scope}{suffix}",
        "summary": operation.title,
        "description": proto.comment_of_method(method.name),
        "parameters": [reference("parameters", name) for name in _parameters(facts, tunnelled)],
        "responses": _answers(facts, with_body=verb != "HEAD"),
    }
    if facts.body:
        described_operation["requestBody"] = reference("requestBodies", facts.body)
    if operation is Operation.DOWNLOAD:
        described_operation["security"] = [*_TOKENS, {"basic": []}, {"playback_key": []}]
    if not facts.needs_token:
        described_operation["security"] = []
    return described_operation


def _verbs_of(path: str) -> Mapping[str, Operation]:
    """Return the operations of a path template, by verb."""
    resource = Target.locate(_VARIABLE.sub("raw.mp3", path)).resource
    if resource is None:
        raise ValueError(f"no resource has the path {path}")
    return OPERATIONS[resource]


def _parameters(facts: Facts, tunnelled: bool) -> Sequence[str]:  # noqa: FBT001 - of one call
    return [*facts.parameters, "verb"] if tunnelled else facts.parameters


def _answers(facts: Facts, *, with_body: bool) -> Schema:
    successes: dict[int, list[str]] = {}
    for status, name in facts.successes:
        successes.setdefault(status, []).append(name if with_body else "")
    answers = {str(status): success_answer(status, names) for status, names in successes.items()}
    for status in refusals_of(facts):
        refusal = reference("responses", str(status))
        answers[str(status)] = refusal if with_body else {"description": "As for GET, no body"}
    return answers


class _Proto:
    """The proto file of the surface, with its comments."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        [self._service] = file.service
        self._comments = {
            tuple(each.path): " ".join(each.leading_comments.split())
            for each in file.source_code_info.location
        }

    @classmethod
    def read(cls) -> _Proto:
        """Return the file in the descriptor set that the gateway uses."""
        data = (gateway_folder() / "kazoo_media.binpb").read_bytes()
        files = FileDescriptorSet.FromString(data).file
        return cls(next(file for file in files if file.name == _PROTO))

    def rules(self) -> Iterator[tuple[MethodDescriptorProto, str, str]]:
        """Yield rpc, verb and path of each HTTP rule, except the rule for all other requests."""
        for method in self._service.method:
            first: Any = method.options.Extensions[annotations_pb2.http]
            for rule in (first, *first.additional_bindings):
                kind = rule.WhichOneof("pattern")
                verb, path = kind.upper(), getattr(rule, kind)
                if kind == "custom":
                    verb, path = rule.custom.kind, rule.custom.path
                if verb != "*":
                    yield method, verb, path

    def comment_of_file(self) -> str:
        """Return the comment of the service."""
        return self._comments.get((_SERVICE_FIELD, 0), "")

    def comment_of_method(self, name: str) -> str:
        """Return the comment of an rpc."""
        index = [method.name for method in self._service.method].index(name)
        return self._comments.get((_SERVICE_FIELD, 0, _METHOD_FIELD, index), "")

    def comment_of_field(self, message_type: str, name: str) -> str:
        """Return the comment of a field of a request message."""
        messages = [message.name for message in self._file.message_type]
        message = messages.index(message_type.rpartition(".")[2])
        fields = [each.name for each in self._file.message_type[message].field]
        path = (_MESSAGE_FIELD, message, _FIELD_FIELD, fields.index(name))
        return self._comments.get(path, "")
