"""The channel to the service, and the token of every call."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from kazoo_media.client.errors import MediaServiceError
from kazoo_media.v1 import account_service_pb2, account_service_pb2_grpc
from kazoo_media.v1.services import SERVICES

Metadata: TypeAlias = tuple[tuple[str, str], ...]
T = TypeVar("T")
_Response = TypeVar("_Response", bound=Message)

_RENEW_BEFORE_S = 60
_PAGE_ROWS = 200
_FIRST_RECONNECT_MS, _SLOWEST_RECONNECT_MS = 200, 5000
_RECEIVE_LIMIT_BYTES = 64 << 20  # a page of large documents
# If the answer of any other call is lost, a retry would report the success of the first try as a
# failure: ALREADY_EXISTS, NOT_FOUND or a stale `if_revision`.
_REPEATABLE_PREFIXES = ("Get", "List", "Set", "Flush", "Issue", "Normalize", "Resolve")
_RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2.5,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files for TLS.

    Attributes:
        root: CA certificates to trust. None: gRPC's own list.
        cert: The client's certificate chain, for a service that requires one.
        key: The private key of `cert`.
    """

    root: Path | None = None
    cert: Path | None = None
    key: Path | None = None


async def open_channel(target: str, tls: TlsFiles | None) -> grpc.aio.Channel:
    """Return a channel on which gRPC retries the calls that are safe to repeat.

    Raises:
        OSError: a file of `tls` cannot be read.
    """
    options = [
        ("grpc.max_receive_message_length", _RECEIVE_LIMIT_BYTES),
        ("grpc.service_config", json.dumps(_service_config())),
        ("grpc.use_local_subchannel_pool", 1),  # a connection for each channel
        ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", _SLOWEST_RECONNECT_MS),
    ]
    if tls is None:
        return grpc.aio.insecure_channel(target, options)
    credentials = await asyncio.to_thread(_credentials, tls)
    return grpc.aio.secure_channel(target, credentials, options)


def _credentials(tls: TlsFiles) -> grpc.ChannelCredentials:
    root, key, cert = (
        None if path is None else path.read_bytes() for path in (tls.root, tls.key, tls.cert)
    )
    return grpc.ssl_channel_credentials(root, key, cert)


class Connection:
    """A channel that authenticates its calls."""

    def __init__(
        self, channel: grpc.aio.Channel, api_key: str, token: str, timeout_s: float
    ) -> None:
        """Take over a channel.

        Args:
            channel: Closed by `aclose`.
            api_key: Tokens are requested for it as needed. "": `token` is the only one.
            token: The first token; "": request one. Without an API key and a token, the client
                certificate of the channel identifies the caller.
            timeout_s: Longest duration of a call with one request and one response.
        """
        self.channel = channel
        self._api_key = api_key
        self._token = token
        self._renew_at = float("inf")
        self._account_id = ""
        self._issuing = asyncio.Lock()
        self._timeout_s = timeout_s
        self._accounts = account_service_pb2_grpc.AccountServiceStub(channel)

    async def aclose(self) -> None:
        """End running calls and close the channel."""
        await self.channel.close()

    async def unary(
        self,
        method: Callable[..., grpc.aio.UnaryUnaryCall[Any, _Response]],
        request: Message,
        *,
        timed: bool = True,
    ) -> _Response:
        """Return the response to a request.

        Args:
            timed: Whether the connection's timeout applies.

        Raises:
            MediaServiceError: the call failed.
        """
        timeout_s = self._timeout_s if timed else None

        async def attempt(metadata: Metadata) -> _Response:
            return await method(request, metadata=metadata, timeout=timeout_s)

        return await self.authorized(attempt)

    async def authorized(self, attempt: Callable[[Metadata], Awaitable[T]]) -> T:
        """Return what `attempt` returns; if the service rejects the token, retry with a new one.

        Raises:
            MediaServiceError: the attempt failed.
        """
        token = await self.token()
        try:
            try:
                return await attempt((("x-auth-token", token),) if token else ())
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAUTHENTICATED or not self._api_key:
                    raise
                renewed = await self.token(rejected=token)
                return await attempt((("x-auth-token", renewed),))
        except grpc.aio.AioRpcError as error:
            raise MediaServiceError.of(error) from error

    async def pages(self, method: Callable[..., Any], request: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - of five types
        """Yield all responses of a list method."""
        page_request = type(request)()
        page_request.CopyFrom(request)
        page_request.page_size = request.page_size or _PAGE_ROWS
        while True:
            page: Any = await self.unary(method, page_request)
            yield page
            if not page.next_page_token:
                return
            page_request.page_token = page.next_page_token

    async def token(self, rejected: str = "") -> str:
        """Return a token other than `rejected`; "" if there is neither an API key nor a token.

        Raises:
            MediaServiceError: the service issued no token.
        """
        if not self._api_key:
            return self._token
        async with self._issuing:
            if not self._token or self._token == rejected or time.time() >= self._renew_at:
                await self._issue()
            return self._token

    async def account_id(self) -> str:
        """Return the id of the account that the calls act for.

        Raises:
            MediaServiceError: the call to look it up failed.
        """
        await self.token()
        if not self._account_id:
            own = await self.unary(
                self._accounts.GetAccount, account_service_pb2.GetAccountRequest()
            )
            self._account_id = own.account.id
        return self._account_id

    async def _issue(self) -> None:
        request = account_service_pb2.IssueTokenRequest(api_key=self._api_key)
        try:
            issued = await self._accounts.IssueToken(request, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise MediaServiceError.of(error) from error
        self._token = issued.token
        self._account_id = issued.account_id
        # Keep the token for a minute at least, even if the clock of this machine is wrong.
        now = time.time()
        self._renew_at = max(issued.expire_time.seconds, now + 2 * _RENEW_BEFORE_S)
        self._renew_at -= _RENEW_BEFORE_S


def _service_config() -> dict[str, Any]:
    """Return gRPC's retry policy. Source: gRFC A6."""
    names = [
        {"service": service.full_name, "method": method.name}
        for service in SERVICES
        for method in service.methods
        if method.name.startswith(_REPEATABLE_PREFIXES)
    ]
    return {"methodConfig": [{"name": names, "retryPolicy": _RETRY_POLICY}]}
