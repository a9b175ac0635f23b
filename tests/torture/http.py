"""Requests over a network and to a service that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

import httpx

from tests.torture.lanes import TICK_BYTES, TICK_S, RefusedError
from tests.torture.ledger import Ledger

_RETRY_S = 0.3
_SHOWN = 300  # an error ends with its reason
SILENCE_S = 10.0
"""After this time without a word, a connection is dead."""


_NONE: Mapping[str, str] = {}


class Http:
    """HTTP of one account.

    Attributes:
        account_id: The account.
    """

    def __init__(self, client: httpx.AsyncClient, account_id: str) -> None:
        """Send over a client that authorizes its requests."""
        self._client = client
        self.account_id = account_id

    async def ask(
        self,
        request: str,
        statuses: tuple[int, ...],
        headers: Mapping[str, str] = _NONE,
        body: bytes | AsyncIterator[bytes] = b"",
    ) -> httpx.Response | None:
        """Return the answer; None after a while if the service is not there to give it.

        Args:
            request: Method and path.
            statuses: The answers that are as they have to be.

        Raises:
            RefusedError: the service gave another answer.
        """
        method, path = request.split(" ")
        answer = None
        with suppress(httpx.TransportError):
            answer = await self._client.request(method, path, headers=headers, content=body)
        if answer is None or answer.status_code >= 500:
            await asyncio.sleep(_RETRY_S)
            return None
        if answer.status_code not in statuses:
            raise RefusedError(f"{request}: {answer.status_code} {answer.text[-_SHOWN:]}")
        return answer


class HttpRecorders:
    """Recorders that send over HTTP, and note in a ledger what came of it."""

    def __init__(self, http: Http, ledger: Ledger) -> None:
        self._http = http
        self._ledger = ledger


async def live(data: bytes) -> AsyncIterator[bytes]:
    """Yield bytes as a running call brings them."""
    for start in range(0, len(data), TICK_BYTES):
        yield data[start : start + TICK_BYTES]
        await asyncio.sleep(TICK_S)
