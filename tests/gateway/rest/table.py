"""Tables of requests and the answers that the specification wants."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.servicer import Servicer

Json = dict[str, Any]


@dataclass(frozen=True)
class Has:
    """Stands for an object with at least these keys and values."""

    keys: Mapping[str, Any]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and all(
            key in other and value == other[key] for key, value in self.keys.items()
        )

    def __hash__(self) -> int:
        return id(self)


def has(**keys: object) -> Has:
    """Return what equals an object with at least these keys and values."""
    return Has(keys)


@dataclass(frozen=True)
class Case:
    """A request and its answer. `{A}` in a path is the account, `{M}` its media, `{T}` its token.

    Attributes:
        body: A dict is sent as JSON.
        token: Whether the account's token goes with it.
        message: Of the envelope.
        data: Of the envelope.
        answer: Response headers; None: must not be there.
        through_gateway: The request goes through the gateway, else past it to the servicer.
        of_gateway: Whether the gateway has a part in the answer, so that the servicer alone would
            give another.
    """

    request: str
    status: int
    body: Json | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    token: bool = True
    message: str | None = None
    data: object = None
    answer: Mapping[str, str | None] = field(default_factory=dict)
    through_gateway: bool = True
    of_gateway: bool = False

    def run(self, rest: Rest, tenant: Tenant) -> Reply:
        """Send the request and check the answer."""
        way = rest if self.through_gateway else Servicer(rest)
        reply = ask(way, tenant, self.request, self.body, self.headers, token=self.token)
        assert reply.status == self.status, reply.body[:500]
        for name, value in self.answer.items():
            assert reply.headers.get(name) == value, name
        if self.message is not None:
            assert reply.json["message"] == self.message
        if self.data is not None:
            assert self.data == reply.data
        return reply


def ask(
    rest: Rest | Servicer,
    tenant: Tenant,
    request: str,
    body: Json | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    token: bool = True,
) -> Reply:
    """Send a request, `METHOD path`, as an account."""
    method, _, path = request.partition(" ")
    path = path.replace("{M}", tenant.media).replace("{A}", tenant.id).replace("{T}", tenant.token)
    sent = [("x-auth-token", tenant.token)] if token else []
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    return rest.send(method, path, content, [*sent, *(headers or {}).items()])


def create(rest: Rest, tenant: Tenant, **data: object) -> str:
    """Create a media and return its id."""
    reply = ask(rest, tenant, "PUT {M}", {"data": {"name": "File", **data}})
    assert reply.status == 201, reply.body
    media_id: str = reply.data["id"]
    return media_id


def upload(
    rest: Rest, tenant: Tenant, media_id: str, audio: bytes, content_type: str = "audio/x-wav"
) -> Reply:
    """Upload audio and return the answer."""
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}/raw", audio, {"content-type": content_type})
    assert reply.status == 200, reply.body
    return reply


def table(cases: Sequence[Case]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that runs a test for each case, named by its request and status: behind
    the gateway, and directly against the servicer where that makes no difference.
    """
    past = [replace(case, through_gateway=False) for case in cases if not case.of_gateway]
    names = [f"{case.request} {case.status}" for case in cases]
    names += [f"servicer: {case.request} {case.status}" for case in past]
    return pytest.mark.parametrize("case", [*cases, *past], ids=names)
