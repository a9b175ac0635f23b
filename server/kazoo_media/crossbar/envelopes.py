"""Kazoo's JSON envelope for successes, errors and streamed lists."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.identifiers import written
from kazoo_media.crossbar.requests import Request
from kazoo_media.documents.large import computed
from kazoo_media.errors import MediaError
from kazoo_media.model import Media


class Envelopes:
    """Makes the envelopes of one node."""

    def __init__(self, node_name: str, version: str) -> None:
        self._node_name = node_name
        self._version = version

    async def of_media(
        self,
        request: Request,
        media: Media,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer with a document."""
        data = await self.success(request, public(media), revision=media.revision)
        return Answer.whole(status, data, headers)

    async def success(self, request: Request, data: object, **extra: object) -> bytes:
        """Return an envelope, written off the event loop if it is large.

        Args:
            extra: Further keys, for example `revision`; they replace common ones like `auth_token`.
        """
        envelope = {"data": data, **self._common(request, "success"), **extra}
        return await computed(lambda: _serialized(request, envelope), data)

    def tail(self, request: Request, extra: Mapping[str, Any]) -> bytes:
        """Return the text after a streamed `{"data":...`: a comma, the other keys, the brace."""
        return b"," + _serialized(request, {**self._common(request, "success"), **extra})[1:]

    async def failure(self, request: Request, error: MediaError) -> Answer:
        """Return the answer for an error."""
        envelope = {
            **self._common(request, "error"),
            "message": error.kazoo_message,
            "error": str(error.http_status),
            "data": error.kazoo_data,
        }
        envelope.setdefault("auth_token", "undefined")
        text = await computed(lambda: _serialized(request, envelope), envelope["data"])
        return Answer.whole(error.http_status, text, error.headers)

    def _common(self, request: Request, status: str) -> dict[str, Any]:
        common = {
            "timestamp": _timestamp(int(time.time())),
            "version": self._version,
            "node": self._node_name,
            "request_id": request.request_id,
            "status": status,
        }
        token = request.token
        if token:
            common["auth_token"] = token
        return common


def _serialized(request: Request, envelope: Mapping[str, Any]) -> bytes:
    return orjson.dumps(envelope, option=orjson.OPT_INDENT_2 if request.wants_pretty else None)


@lru_cache(maxsize=1)
def _timestamp(unix_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))


def public(media: Media) -> dict[str, Any]:
    """Return the document of an answer."""
    return {**media.document, "id": written(media.id, prompt=media.prompt_id is not None)}
