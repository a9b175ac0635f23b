"""The metadata of a call and the facts of the running call."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc.aio
import structlog

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

REQUEST_ID_KEY = "x-request-id"
PEER_KEY = "x-rest-peer"
"""Metadata key of the client's address; the gateway sets it on both listeners."""
TRANSCODED_KEY = "x-envoy-original-path"
"""Metadata key of calls that the gateway has made from HTTP. Clients cannot send it."""
_REQUEST_ID_LIMIT = 128
_TRACE_KEY = "traceparent"
_TRACE = re.compile(
    "(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)
"""Source: W3C Trace Context, 3.2."""


@dataclass(slots=True)
class Call:
    """A running call.

    Attributes:
        account_id: The caller, "" until it is known.
        client_names: The names in the client's certificate, "" if they are not used.
    """

    request_id: str
    account_id: str = ""
    client_names: str = ""

    @classmethod
    def begin(cls, context: Context) -> Call:
        """Return a new call, now the current one of its task.

        Every log line of the task has its request id, and the trace id if the client sent one.
        """
        call = cls(_request_id(metadata_value(context, REQUEST_ID_KEY)))
        _current.set(call)
        structlog.contextvars.bind_contextvars(request_id=call.request_id)
        trace = metadata_value(context, _TRACE_KEY)
        if trace and (found := _TRACE.fullmatch(trace)):
            structlog.contextvars.bind_contextvars(trace_id=found[1])
        return call

    @classmethod
    def note_account(cls, account_id: str) -> None:
        """Record the caller's account for the access log."""
        _current.get().account_id = account_id

    @classmethod
    def note_client(cls, names: Sequence[str]) -> None:
        """Record the names in the caller's certificate for the access log."""
        _current.get().client_names = ", ".join(names)

    @classmethod
    async def invite(cls, context: Context) -> None:
        """Send the response headers of the current call now: they invite the client to go on."""
        await context.send_initial_metadata(((REQUEST_ID_KEY, _current.get().request_id),))


_current: ContextVar[Call] = ContextVar("kazoo_media_call")


def metadata_value(context: Context, key: str) -> str | None:
    """Return the first value of a lower-case metadata key, or None."""
    for name, value in _metadata(context):
        if name == key:
            return value if isinstance(value, str) else None
    return None


def token_of(context: Context) -> str | None:
    """Return the token from `x-auth-token`, else from `authorization: Bearer`, or None."""
    token = metadata_value(context, "x-auth-token")
    if token:
        return token
    scheme, _, credentials = (metadata_value(context, "authorization") or "").partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


def is_from_gateway(context: Context) -> bool:
    """Return whether Envoy transcoded this call from HTTP."""
    return metadata_value(context, TRANSCODED_KEY) is not None


def _metadata(context: Context) -> Iterable[tuple[str, str | bytes]]:
    return context.invocation_metadata() or ()


def _request_id(sent: str | None) -> str:
    """Return the client's request id if it can be logged and sent back, else a new one."""
    if sent and len(sent) <= _REQUEST_ID_LIMIT and sent.isascii() and sent.isprintable():
        return sent
    return uuid.uuid4().hex
