"""The OpenAPI description: valid, and what the service really does."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kazoo_media.crossbar.operations import OPERATIONS, Operation, Resource, Target
from tests.gateway.rest.recorded import record
from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import ask
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_SEED = int(os.environ.get("KAZOO_TEST_SEED", "20261124"))
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_FAULT = "internal error"


_EXAMPLES = 2
_JSON = "application/json"
_BYTES = "application/octet-stream"
_NO_VERBS = ("parameters", "servers")
_OF_ACCOUNTS = (
    *(Resource.RECORDINGS, Resource.USER_RECORDINGS, Resource.RECORDING),
    *(Resource.RECORDING_FILE, Resource.UPLOADS, Resource.UPLOAD),
)
"""The system scope has none of these."""

_PARAMETERS = {
    "language": "en-us",
    "name": "tone.wav",
    "file": "audio.mp3",
    "prompt_id": "vm-greeting",
    "user_id": "agent",
    "file_name": "call.mp3",
    "upload_id": "tus-unknown",
}


@dataclass(frozen=True)
class _Plain:
    """A request without anything random, right in all but one thing.

    Attributes:
        media_id: None: of a media with audio.
        query, headers: Sent to operations that describe them.
        content, content_type: In place of what a body of the operation is.
    """

    media_id: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    content_type: str | None = None
    has_token: bool = True


# Random requests seldom meet these. The last changes or removes the media.
_PLAIN = [
    _Plain(has_token=False),
    _Plain(media_id="missing"),
    _Plain(query={"accept": "image/png"}),
    *(_Plain(query={name: "x"}) for name in ("page_size", "rendition", "buckets")),
    _Plain(headers={"If-Match": '"another"'}),
    _Plain(headers={"If-None-Match": "*"}),
    _Plain(query={"accept": "audio/*"}, headers={"Range": "bytes=0-9"}),
    _Plain(query={"accept": "audio/*"}, headers={"Range": "bytes=99999-"}),
    _Plain(content=b"{"),
    _Plain(content_type="text/x-unknown"),
    _Plain(),
]


@pytest.fixture(scope="module")
def description(rest: Rest) -> dict[str, Any]:
    return rest.send("GET", "/v2/openapi.json").json


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_it_is_served_without_a_token(rest: Rest, version: str) -> None:
    whole = rest.send("GET", f"/{version}/openapi.json")
    assert (whole.status, whole.headers["content-type"]) == (200, "application/json")
    head = rest.send("HEAD", f"/{version}/openapi.json")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body))
    options = rest.send("OPTIONS", f"/{version}/openapi.json")
    assert (options.status, options.headers["allow"]) == (200, "OPTIONS, GET, HEAD")
    assert rest.send("PUT", f"/{version}/openapi.json", b"").status == 405


def test_it_is_valid(description: dict[str, Any]) -> None:
    validate(description)
    assert description["openapi"] == "3.1.0"


def test_every_operation_of_both_scopes_is_in_it_once(description: dict[str, Any]) -> None:
    found = set()
    for path, item in description["paths"].items():
        resource = Target.locate(_base(path) + re.sub(r"{\w+}", "x.mp3", path)).resource
        assert resource is not None
        of_account = "{account_id}" in path
        found |= {(resource, verb.upper(), of_account) for verb in item if verb not in _NO_VERBS}
    alone = {Operation.LOG_IN, Operation.LOG_IN_USER, Operation.DESCRIBE_API}
    assert found == {
        (resource, verb, of_account)
        for resource, verbs in OPERATIONS.items()
        for verb, operation in verbs.items()
        if operation is not Operation.FOLLOW_LINK  # a link is fetched as it is
        for of_account in ((False,) if operation in alone else (False, True))
        if of_account or resource not in _OF_ACCOUNTS
    }


def test_people_can_read_it(description: dict[str, Any]) -> None:
    operations = list(_operations(description))
    for key in ("operationId", "summary"):
        assert len({each[key] for each in operations}) == len(operations), key
    tags = {each["name"]: each["description"] for each in description["tags"]}
    assert {tag for each in operations for tag in each["tags"]} == set(tags)
    described = [description["info"], *operations, *description["components"]["responses"].values()]
    texts = [each["description"] for each in described]
    parameters = description["components"]["parameters"].values()
    inline = [each for item in description["paths"].values() for each in item.get("parameters", [])]
    texts += [each["description"] for each in (*parameters, *inline)]
    assert all([*texts, *tags.values()])
    assert not re.search(
        r"\b(rpcs?|transcod\w*|protobuf|Envoy|HttpBody)\b", json.dumps(description)
    )
    for operation in operations:
        refusals = [status for status in operation["responses"] if status >= "400"]
        assert {"400", "500", "503"} <= set(refusals), operation["operationId"]


def test_programs_can_read_it(description: dict[str, Any]) -> None:
    """Generators need a type for each value, and no key that excludes one of the two scopes."""
    bodies = [each["content"] for each in _objects(description) if "content" in each]
    assert bodies
    for media_type in (each for content in bodies for each in content.values()):
        assert media_type["schema"], media_type
    for each in _objects(description):
        if "enum" in each or "const" in each or "properties" in each:
            assert "type" in each, each
    system = {
        path: item for path, item in description["paths"].items() if "{account_id}" not in path
    }
    assert "/media/{media_id}" in system
    named = {each.get("name") for each in _objects(system)}
    assert "account_id" not in named
    assert "media_id" in named
    log_in = description["components"]["schemas"]["LoginEnvelope"]
    assert {"auth_token", "data"} <= set(log_in["required"])


def test_its_examples_are_true(rest: Rest, tenant: Tenant, description: dict[str, Any]) -> None:
    """Send the requests; each answer has the keys and types of its example."""

    def held(reply: Reply, operation_id: str) -> Reply:
        [operation] = [
            each for each in _operations(description) if each["operationId"] == operation_id
        ]
        answer = operation["responses"][str(reply.status)]
        if "$ref" in answer:
            answer = description["components"]["responses"][str(reply.status)]
        example = answer["content"][_JSON]["example"]
        assert _shape(reply.json) == _shape(example), (operation_id, reply.json)
        return reply

    sent = {
        name: body["content"][_JSON]["example"]
        for name, body in description["components"]["requestBodies"].items()
        if _JSON in body["content"]
    }
    audio = tone(3, rate=16_000)
    created = held(ask(rest, tenant, "PUT {M}", sent["create"]), "createMedia")
    assert created.data["name"] == sent["create"]["data"]["name"]
    ask(rest, tenant, "PUT {M}", {"data": {"id": "welcome", "name": "Welcome"}})
    path = f"{{M}}/{created.data['id']}"
    uploaded = ask(rest, tenant, f"POST {path}/raw", audio, {"content-type": _BYTES})
    assert uploaded.status == 200
    held(ask(rest, tenant, "GET {M}?page_size=1"), "listMedia")
    held(ask(rest, tenant, f"GET {path}/peaks?buckets=3"), "getPeaks")
    held(ask(rest, tenant, "GET {M}/tts/voices"), "listVoices")
    held(ask(rest, tenant, f"POST {path}/link", sent["link"]), "createLink")
    document = held(ask(rest, tenant, f"GET {path}"), "getMedia")
    assert ask(rest, tenant, f"PATCH {path}", sent["patch"]).status == 200
    assert ask(rest, tenant, f"POST {path}", sent["update"]).status == 200
    assert document.data["content_length"] == len(audio)
    held(ask(rest, tenant, f"PATCH {path}", {"data": {"name": None}}), "patchMedia")
    held(ask(rest, tenant, "GET {M}/none"), "getMedia")
    held(ask(rest, tenant, "PUT {M}", sent["create"]), "createMedia")
    held(ask(rest, tenant, "GET {M}", token=False), "listMedia")
    key = {"data": {"api_key": tenant.api_key}}
    assert len(tenant.api_key) == len(sent["log_in"]["data"]["api_key"])
    held(ask(rest, tenant, "PUT /v2/api_auth", key, token=False), "logIn")
    unknown = ask(rest, tenant, "PUT /v2/api_auth", sent["log_in"], token=False)
    assert (unknown.status, unknown.json["message"]) == (401, "invalid_credentials")
    unknown = ask(rest, tenant, "PUT /v2/user_auth", sent["log_in_user"], token=False)
    assert (unknown.status, unknown.json["message"]) == (401, "invalid_credentials")


@pytest.mark.timeout(240)
def test_what_it_describes_is_what_happens(rest: Rest, description: dict[str, Any]) -> None:
    """Property-based requests from the description; a failure prints how to repeat it."""
    print(f"KAZOO_TEST_SEED={_SEED}")
    tenant = rest.new_tenant()
    schemathesis.serializer(_BYTES, "audio/mp3", "text/x-unknown")(_as_bytes)
    schema = schemathesis.openapi.from_dict(description)
    answers: dict[int, int] = {}
    with requests.Session() as session:
        for number, result in enumerate(schema.get_all_operations()):
            operation: Any = result.ok()  # type: ignore[union-attr]
            run = _Run(rest, tenant, session, answers, description)
            _hold_plain(run, operation)
            for mode in GenerationMode:
                _hold(run, operation, number, mode)
    print(answers)
    assert {200, 201, 206, 304, 400, 401, 404, 406, 412, 415, 416} <= set(answers)


@dataclass(frozen=True)
class _Run:
    """Where the requests go, and how often each status came back."""

    rest: Rest
    tenant: Tenant
    session: requests.Session
    answers: dict[int, int]
    description: dict[str, Any]

    def send(self, operation: Any, case: Any, *, has_token: bool = True) -> None:
        """Send a request of the operation and check the answer."""
        scoped = "{account_id}" in operation.path
        if scoped:
            case.path_parameters["account_id"] = self.tenant.id
        token = self.tenant.token if scoped else self.rest.admin.token
        is_open = not has_token or operation.definition.raw.get("security") == []
        response = case.call(
            base_url=f"http://127.0.0.1:{self.rest.port}{_base(operation.path)}",
            headers={} if is_open else {"X-Auth-Token": token},
            session=self.session,
            timeout=20,
        )
        self.answers[response.status_code] = self.answers.get(response.status_code, 0) + 1
        # A 500 with another message is the speech provider's: not every text can be spoken.
        unspoken = response.status_code == 500 and response.json()["message"] != _FAULT
        if not unspoken:
            case.validate_response(response, checks=_CHECKS)
            if response.status_code >= 400 and case.method != "HEAD":
                answer = self.description["components"]["responses"][str(response.status_code)]
                assert f"`{response.json()['message']}`" in answer["description"]


def _hold_plain(run: _Run, operation: Any) -> None:
    """Send every plain request that the operation permits and check the answers."""
    media_id = _media_with_audio(run.rest, run.tenant)
    recording_id = record(run.rest, run.tenant)
    described = {parameter.name for parameter in (*operation.query, *operation.headers)}
    bodies = [body.media_type for body in operation.body]
    for plain in _PLAIN:
        if not described >= {*plain.query, *plain.headers}:
            continue
        body: dict[str, Any] = {}
        if bodies:
            whole = {"data": {"name": "Tone"}} if _JSON in bodies else bytes(64)
            known = _JSON if _JSON in bodies else "audio/mp3"
            body = {
                "body": whole if plain.content is None else plain.content,
                "media_type": plain.content_type or known,
            }
        names = set(re.findall(r"{(\w+)}", operation.path))
        parameters = {
            **_PARAMETERS,
            "media_id": plain.media_id or media_id,
            "recording_id": f"209901-{'0' * 32}" if plain.media_id else recording_id,
            "account_id": "",
        }
        case = operation.Case(
            path_parameters={name: parameters[name] for name in names},
            query=dict(plain.query),
            headers=dict(plain.headers),
            **body,
        )
        run.send(operation, case, has_token=plain.has_token)


def _hold(run: _Run, operation: Any, number: int, mode: GenerationMode) -> None:
    """Send requests made from one operation's description and check the answers."""
    media_id_with_audio = _media_with_audio(run.rest, run.tenant)
    recording_id = record(run.rest, run.tenant)

    @seed(_SEED + number)
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        media_id=st.sampled_from([media_id_with_audio, media_id_with_audio, None]),
        accept=st.sampled_from(["audio/*", "application/json", None]),
    )
    def holds(case: Any, media_id: str | None, accept: str | None) -> None:
        if accept is not None and "accept" in (case.query or {}):
            case.query["accept"] = accept
        if media_id is not None and "media_id" in case.path_parameters:
            case.path_parameters["media_id"] = media_id
        if media_id is not None and "recording_id" in case.path_parameters:
            case.path_parameters["recording_id"] = recording_id
        run.send(operation, case)

    # There is nothing to get wrong where there are no parameters.
    with suppress(*([Unsatisfiable] if mode is GenerationMode.NEGATIVE else [])):
        holds()


def _base(path: str) -> str:
    return "" if path.startswith("/recordings/") else "/v2"


def _media_with_audio(rest: Rest, tenant: Tenant) -> str:
    headers = [("x-auth-token", tenant.token)]
    created = rest.send("PUT", tenant.media, b'{"data":{"name":"Tone"}}', headers)
    media_id: str = created.data["id"]
    audio = b"\xff\xfb\x90\x00" + bytes(413)
    uploaded = rest.send(
        "POST",
        f"{tenant.media}/{media_id}/raw",
        audio * 4,
        [*headers, ("content-type", "audio/mp3")],
    )
    assert uploaded.status == 200
    return media_id


def _as_bytes(context: Any, value: Any) -> bytes:
    del context
    if isinstance(value, bytes):
        return value
    return random.Random(repr(value)).randbytes(64) + repr(value).encode(errors="replace")


def _operations(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in description["paths"].values():
        yield from (operation for verb, operation in item.items() if verb not in _NO_VERBS)


def _objects(value: object) -> Iterator[dict[str, Any]]:
    """Yield all objects in a description, except examples and the properties of a schema."""
    if isinstance(value, dict):
        yield value
        for key, each in value.items():
            if key in {"properties", "patternProperties"}:
                for schema in each.values():
                    yield from _objects(schema)
            elif key not in {"example", "examples"}:
                yield from _objects(each)
    elif isinstance(value, list):
        for each in value:
            yield from _objects(each)


def _shape(value: object) -> object:
    """Return the keys and types of a value; of an array, those of its first element."""
    if isinstance(value, dict):
        return {key: _shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_shape(each) for each in value[:1]]
    return "number" if type(value) in {int, float} else type(value).__name__
