"""The OpenAPI description of the REST surface.

It is generated from the code that serves it: paths and verbs of the proto file, the table of
operations, the rules of documents and the error classes.

Source: OpenAPI 3.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import (
    FileDescriptorSet,
    MethodDescriptorProto,
)

from kazoo_media.crossbar.openapi.answers import answers_of, error_answers
from kazoo_media.crossbar.openapi.bodies import bodies, request_schemas
from kazoo_media.crossbar.openapi.operations import FACTS
from kazoo_media.crossbar.openapi.parameters import PARAMETERS, PATH_PARAMETERS
from kazoo_media.crossbar.openapi.schemas import Schema, answer_schemas, reference
from kazoo_media.crossbar.openapi.texts import INTRODUCTION, SYSTEM_TAG, TAGS, TEXTS
from kazoo_media.crossbar.operations import OPERATIONS, Operation, Target
from kazoo_media.resources import gateway_folder

_PROTO = "kazoo_media/crossbar/v2/crossbar_service.proto"
_VARIABLE = re.compile(r"\{(\w+)\}")
_V1 = (
    "The same as /v2, except for lists: they are not paged, and the media of a prompt are objects"
    " with `id` and `has_attachments`"
)
_WITH_KEYS = (
    *(Operation.DOWNLOAD, Operation.DOWNLOAD_RESOLVED),
    *(Operation.PUT_FILE, Operation.DOWNLOAD_FILE),
)
_TOKENS: list[Schema] = [{"token": []}, {"bearer": []}]


def described(version: str) -> bytes:
    """Return the description as JSON."""
    return orjson.dumps(_description(version))


def _description(version: str) -> Schema:
    refusals = error_answers()
    paths: dict[str, Schema] = {}
    for method, verb, rule in _rules():
        if rule.startswith("/media/"):
            continue  # a link is fetched as it is; its path has the pattern of another one
        # The rule's variable also stands for `raw.mp3` and the like, which the texts explain.
        path = rule.removeprefix("/v2").replace("{attachment}", "raw")
        operation = _verbs_of(rule).get(verb)
        if operation is not None:  # HEAD, and POST in place of other verbs, are explained as well
            item = paths.setdefault(path, _path_item(path))
            if not rule.startswith("/v2/"):
                item["servers"] = [{"url": "/"}]
            item[verb.lower()] = _operation(operation, method.name, path, refusals)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kazoo-media",
            "version": version,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/v2"}, {"url": "/v1", "description": _V1}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "security": _TOKENS,
        "paths": paths,
        "components": _components(refusals),
    }


def _components(refusals: Schema) -> Schema:
    return {
        "schemas": {**answer_schemas(), **request_schemas()},
        "responses": refusals,
        "parameters": {name: {"name": name, **each} for name, each in PARAMETERS.items()},
        "requestBodies": bodies(),
        "securitySchemes": {
            "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "basic": {
                "type": "http",
                "scheme": "basic",
                "description": "Account id, and a playback key or the API key of the account",
            },
        },
    }


def _path_item(path: str) -> Schema:
    names = _VARIABLE.findall(path)
    parameters = [{"name": name, **PATH_PARAMETERS[name]} for name in names]
    return {"parameters": parameters} if parameters else {}


def _operation(operation: Operation, rpc: str, path: str, refusals: Schema) -> Schema:
    facts, text = FACTS[operation], TEXTS[rpc]
    of_system = facts.needs_token and "{account_id}" not in path
    found: Schema = {
        "operationId": text.name.format("System" if of_system else ""),
        "tags": [SYSTEM_TAG if of_system else text.tag],
        "summary": text.summary.format("system " if of_system else ""),
        "description": text.about,
        "parameters": [reference("parameters", name) for name in facts.parameters],
        "responses": answers_of(facts, refusals),
    }
    if facts.body:
        found["requestBody"] = reference("requestBodies", facts.body)
    if operation in _WITH_KEYS:
        found["security"] = [*_TOKENS, {"basic": []}]
    if not facts.needs_token:
        found["security"] = []
    return found


def _verbs_of(path: str) -> Mapping[str, Operation]:
    """Return the operations of a path template, by verb."""
    resource = Target.locate(_VARIABLE.sub("raw.mp3", path)).resource
    if resource is None:
        raise ValueError(f"no resource has the path {path}")
    return OPERATIONS[resource]


def _rules() -> Iterator[tuple[MethodDescriptorProto, str, str]]:
    """Yield rpc, verb and path of each HTTP rule, except the rule for all other requests."""
    data = (gateway_folder() / "kazoo_media.binpb").read_bytes()
    files = FileDescriptorSet.FromString(data).file
    [service] = next(file for file in files if file.name == _PROTO).service
    for method in service.method:
        first: Any = method.options.Extensions[annotations_pb2.http]
        for rule in (first, *first.additional_bindings):
            kind = rule.WhichOneof("pattern")
            if kind != "custom":
                yield method, kind.upper(), getattr(rule, kind)
            elif rule.custom.kind != "*":
                yield method, rule.custom.kind, rule.custom.path
