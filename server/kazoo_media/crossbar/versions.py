"""The operations on earlier contents of media, and on deleted media."""

from __future__ import annotations

import re
import time
from typing import Any

from kazoo_media.access.accounts import ReadScope, WriteScope
from kazoo_media.core import Core
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.content_types import JSON_TYPES
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.identifiers import decoded
from kazoo_media.crossbar.requests import Request
from kazoo_media.documents.violations import wrong_type
from kazoo_media.errors import UnsupportedMediaTypeError, ValidationError
from kazoo_media.model import Version

_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)


class VersionAnswers:
    """Answers requests about versions."""

    def __init__(self, core: Core, envelopes: Envelopes) -> None:
        self._versions = core.versions
        self._envelopes = envelopes

    async def list(self, scope: ReadScope, request: Request) -> Answer:
        """Return the earlier contents of a media."""
        found = await self._versions.list(scope, decoded(request.target.name))
        data = [_fields(each) for each in found]
        return Answer.whole(200, await self._envelopes.success(request, data))

    async def restore(self, scope: WriteScope, request: Request) -> Answer:
        """Put an earlier content back, or make a deleted media live again; return the document."""
        if request.foreign:
            message = f"content type {request.content_type!r} is not JSON"
            raise UnsupportedMediaTypeError(message, JSON_TYPES)
        media_id, sent = decoded(request.target.name), request.data.get("version")
        if sent is None:
            media = await self._versions.undelete(scope, media_id)
        else:
            media = await self._versions.put_back(scope, media_id, version_number(sent))
        return await self._envelopes.of_media(request, media)


def version_number(value: object) -> int:
    """Return the number of a version, which may come as text.

    Raises:
        ValidationError: it is not a number.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError([wrong_type("version", "integer", value)])
    return value


def _fields(version: Version) -> dict[str, Any]:
    served = version.content.served
    replaced = time.gmtime(version.replaced_ms // 1000)
    fields: dict[str, Any] = {
        "version": version.number,
        "content_type": served.content_type,
        "content_length": served.size_bytes,
        "replaced": time.strftime("%Y-%m-%dT%H:%M:%SZ", replaced),
    }
    if served.facts.duration_ms is not None:
        fields["duration_ms"] = served.facts.duration_ms
    return fields
