"""The REST surface: checks that all requests pass, and the dispatch to the operations.

The order of checks, here and below: path and method (404, 405), OPTIONS, authentication (401),
unknown account (404), permission (403), body shape (400), Accept (406), the document exists (404),
validation (400), preconditions (412, 304), conflict (409), request type (415).
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Mapping,
    Sequence,
)
from functools import partial
from typing import Any, TypeAlias, cast
from urllib.parse import unquote

import structlog
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message

from kazoo_media.audio.formats import essence
from kazoo_media.core import Core
from kazoo_media.crossbar.actions import Actions
from kazoo_media.crossbar.answers import CSV, JSON, MESSAGE_BYTES, Answer
from kazoo_media.crossbar.authentication import authenticate, authenticate_with_key
from kazoo_media.crossbar.bodies import Body, Piece, drop_rest, read_envelope
from kazoo_media.crossbar.conditions import check_whole
from kazoo_media.crossbar.content import Contents
from kazoo_media.crossbar.content_types import JSON_TYPES
from kazoo_media.crossbar.cors import EXPOSED, preflight, resumable_headers
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.links import LinkAnswers
from kazoo_media.crossbar.negotiation import Accept, resolved
from kazoo_media.crossbar.openapi.description import described
from kazoo_media.crossbar.operations import (
    OPERATIONS,
    RESUMABLE,
    Operation,
    Resource,
    Target,
)
from kazoo_media.crossbar.requests import Request
from kazoo_media.crossbar.sending import Ending, framed, metadata_of, unbroken
from kazoo_media.errors import (
    AccountNotFoundError,
    InternalError,
    InvalidCredentialsError,
    MediaError,
    PathNotFoundError,
    TooLargeError,
    ValidationError,
    Violation,
)
from kazoo_media.metrics import Metrics
from kazoo_media.model import SYSTEM_ACCOUNT_ID
from kazoo_media.transport.budget import Budget
from kazoo_media.transport.context import Call, Context
from kazoo_media.transport.serializers import MALFORMED, Malformed, Pieces

_log = structlog.get_logger()

_LIST_HEADERS = {"accept", "if-match", "if-modified-since", "if-none-match", "if-unmodified-since"}
"""Joined if they are repeated. Several dates have no effect. Source: RFC 9110, 13.1.3, 13.1.4."""

_LIST_TYPES = (JSON, CSV)
_OTHER_TYPES = (JSON,)
_AUDIO = (Operation.DOWNLOAD, Operation.DOWNLOAD_RESOLVED, Operation.DOWNLOAD_FILE)
_LOG_INS = (Resource.LOG_IN, Resource.USER_LOG_IN)

Locate = Callable[[Any, str], Target]
"""Returns the target of a request message; the text is the path as the client sent it."""

_Arrived: TypeAlias = "Message | Malformed | MediaError | None"
"""The first message of a request, or why it has none. None: it is awaited with the body."""


class CrossbarServicer:
    """Answers the requests that the gateway transcodes."""

    def __init__(
        self, core: Core, budget: Budget, metrics: Metrics, node_name: str, version: str
    ) -> None:
        self._accounts = core.accounts
        self._key_log_ins = core.log_ins
        self._budget = budget
        self._metrics = metrics
        self._envelopes = Envelopes(node_name, version)
        self._description = described(version)
        contents = Contents(core, self._envelopes)
        self._links = LinkAnswers(core, contents, self._envelopes)
        self._actions = Actions.of(core, contents, self._links, self._envelopes)

    def handler(
        self, rpc: str, locate: Locate, *, has_body: bool
    ) -> Callable[[Any, Context], AsyncGenerator[HttpBody | Pieces, None]]:
        """Return the handler of an rpc; a request with a body is a stream of messages."""
        count = partial(self._metrics.call_ended, "rest", rpc)

        async def answer(
            received: Any,  # noqa: ANN401 - a message of any rpc, or an iterator of them
            context: Context,
        ) -> AsyncGenerator[HttpBody | Pieces, None]:
            ending, rest = Ending(), None
            try:
                message = await _first(received, context) if has_body else received
                request = _request(context, message, locate)
                body = _body(message, received, request) if has_body else None
                found = await self._answer(request, message, body)
                rest = found.rest
                await context.send_initial_metadata(metadata_of(found))
                if request.only_headers:
                    yield HttpBody(content_type=found.content_type)
                else:
                    data, found.data = found.data, b""
                    yield framed(data[:MESSAGE_BYTES], found.content_type)
                    for start in range(MESSAGE_BYTES, len(data), MESSAGE_BYTES):
                        yield framed(data[start : start + MESSAGE_BYTES])
                    del data  # a slow client may need hours for the rest
                    if rest is not None:
                        async for piece in unbroken(rest, ending):
                            yield piece
                ending.note_sent(found.status)
                if has_body:
                    await drop_rest(received)
            finally:
                count(str(ending.status))
                if rest is not None:
                    await rest.aclose()

        return answer

    async def _answer(self, request: Request, message: _Arrived, body: Body | None) -> Answer:
        """Return the answer to a request, which may be an error."""
        try:
            _check(message)
            request.check()
            answer = await self._dispatch(request, body)
        except MediaError as error:
            answer = await self._envelopes.failure(request, error)
        except Exception:  # noqa: BLE001 - the surface's last resort
            _log.exception("a REST request failed")
            answer = await self._envelopes.failure(request, InternalError())
        if answer.status >= 400 or "origin" in request.headers:
            answer.headers = {**EXPOSED, **answer.headers}
        if request.target.resource in RESUMABLE:
            answer.headers = {**answer.headers, **resumable_headers(request)}
        return answer

    async def _dispatch(self, request: Request, body: Body | None) -> Answer:
        resource = request.target.resource
        if resource is None:
            raise PathNotFoundError
        if request.verb == "OPTIONS":
            return preflight(resource)
        operation, problem = await self._operation_of(request, resource, body)
        if operation in self._actions.log_ins:
            _check_shape(request, operation, problem)
            return await self._actions.log_ins[operation](request)
        if operation is Operation.DESCRIBE_API:
            return Answer.whole(200, self._description)
        if operation in self._actions.plays:
            return await self._play(request, operation, problem)
        if operation is Operation.FOLLOW_LINK:
            return await self._links.follow(request)
        return await self._act(request, operation, problem, body)

    async def _act(
        self,
        request: Request,
        operation: Operation,
        problem: MediaError | None,
        body: Body | None,
    ) -> Answer:
        if request.target.resource is Resource.RECORDING_FILE:
            caller = await authenticate_with_key(self._accounts, self._key_log_ins, request)
        else:
            caller = await authenticate(self._accounts, request)
        Call.note_account(caller.account.id)
        account_id = _account_id(request)
        if not operation.writes:
            read_scope = await self._accounts.read_scope(caller, account_id)
            _check_shape(request, operation, problem)
            return await self._actions.reads[operation](read_scope, request)
        scope = await self._accounts.write_scope(caller, account_id)
        _check_shape(request, operation, problem)
        if operation in self._actions.uploads and body is not None:
            return await self._actions.uploads[operation](scope, request, body)
        return await self._actions.writes[operation](scope, request)

    async def _play(
        self, request: Request, operation: Operation, problem: MediaError | None
    ) -> Answer:
        caller = await authenticate_with_key(self._accounts, self._key_log_ins, request)
        Call.note_account(caller.account.id)
        scope = await self._accounts.play_scope(caller, _account_id(request))
        _check_shape(request, operation, problem)
        return await self._actions.plays[operation](scope, request)

    async def _operation_of(
        self, request: Request, resource: Resource, body: Body | None
    ) -> tuple[Operation, MediaError | None]:
        """Return the requested operation, and the error of a malformed body. Audio is not read.

        Raises:
            MethodNotAllowedError: the resource does not support the verb.
        """
        if resource in RESUMABLE:
            return resource.operation(_overridden(request)), None
        if body is None:
            return resolved(resource.operation(request.verb), request), None
        if request.verb == "POST":
            request.verb = resource.tunnelled(request.query_value("verb"))
        if request.verb != "POST" or not resource.may_tunnel:
            resource.operation(request.verb)
        operation = OPERATIONS[resource].get(request.verb)
        if operation is Operation.PUT_FILE:
            return operation, None
        is_json = essence(request.content_type) in JSON_TYPES
        if (
            operation is not None
            and resolved(operation, request) is Operation.UPLOAD
            and not is_json
        ):
            return Operation.UPLOAD, None
        problem = await self._read_envelope(request, resource, body)
        if request.verb == "POST":
            request.verb = resource.tunnelled(request.parameter("verb"))
        return resolved(resource.operation(request.verb), request), problem

    async def _read_envelope(
        self, request: Request, resource: Resource, body: Body
    ) -> MediaError | None:
        """Set the request's envelope; return its error, which is reported after authentication.

        A body is large only if its head has a valid token: a token in the body is known too late.
        """
        if resource in _LOG_INS:
            return await read_envelope(request, body, self._budget, is_known=False)
        try:
            await authenticate(self._accounts, request)
        except InvalidCredentialsError as stranger:
            try:
                return await read_envelope(request, body, self._budget, is_known=False)
            except TooLargeError:
                raise stranger from None
        return await read_envelope(request, body, self._budget, is_known=True)


async def _first(messages: AsyncIterator[Message | Malformed], context: Context) -> _Arrived:
    """Return the first message; None if the client waits with it for a sign to proceed."""
    if _waits(_headers(context)):
        return None
    try:
        return await anext(messages, MALFORMED)
    except MediaError as refusal:
        return refusal


def _overridden(request: Request) -> str:
    """Return the verb that a request of the tus protocol stands for."""
    override = request.headers.get("x-http-method-override", "") if request.verb == "POST" else ""
    return override.upper() or request.verb


def _waits(headers: Mapping[str, str]) -> bool:
    """Return whether the client waits, and the path tells the target without a message."""
    if headers.get("expect", "").lower() != "100-continue":
        return False
    try:
        unquote(headers.get("x-rest-uri", "").partition("?")[0], errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _body(message: Any, messages: AsyncIterator[Piece], request: Request) -> Body | None:  # noqa: ANN401 - of any rpc
    if isinstance(message, Malformed | MediaError):
        return None
    first = b"" if message is None else message.body.data
    return Body(first, messages, request.size_bytes)


def _check(message: _Arrived) -> None:
    if isinstance(message, MediaError):
        raise message
    if isinstance(message, Malformed):
        raise ValidationError([Violation("path", "invalid", "the path must be UTF-8", {})])


def _check_shape(request: Request, operation: Operation, problem: MediaError | None) -> None:
    """Check the shape of the body, and that the client accepts the type of the answer."""
    if operation.writes:
        check_whole(request.headers.get("content-range", ""))
    if problem is not None:
        raise problem
    accept = request.accept
    if accept and operation not in _AUDIO:
        Accept.of(accept).check(_LIST_TYPES if operation.lists else _OTHER_TYPES)


def _account_id(request: Request) -> str:
    """Return the account that the path names.

    Raises:
        AccountNotFoundError: the path names the system scope as an account.
    """
    account_id = request.target.account_id
    if account_id == SYSTEM_ACCOUNT_ID:
        raise AccountNotFoundError(account_id)
    return account_id or SYSTEM_ACCOUNT_ID


def _request(context: Context, message: _Arrived, locate: Locate) -> Request:
    headers = _headers(context)
    path = headers.get("x-rest-uri", "").partition("?")[0]
    if message is None:
        target = Target.locate(path)
    elif isinstance(message, Malformed | MediaError):
        target = Target(None)
    else:
        target = locate(message, path)
    return Request.of(target, headers, Call.begin(context).request_id)


def _headers(context: Context) -> dict[str, str]:
    """Return the request's headers. Repeated list headers are joined; of others the last counts."""
    metadata = cast("Sequence[tuple[str, str]]", context.invocation_metadata() or ())
    headers = dict(metadata)
    if len(headers) < len(metadata):
        for name in _LIST_HEADERS & headers.keys():
            headers[name] = ",".join(value for key, value in metadata if key == name)
    return headers
