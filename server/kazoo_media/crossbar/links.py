"""The operations that make a link and send the audio of one."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from kazoo_media.access.accounts import ReadScope
from kazoo_media.core import Core
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.conditions import check_match
from kazoo_media.crossbar.content import Contents, rendition_kind
from kazoo_media.crossbar.content_types import JSON_TYPES
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.identifiers import decoded
from kazoo_media.crossbar.requests import Request
from kazoo_media.documents.violations import wrong_type
from kazoo_media.errors import UnsupportedMediaTypeError, ValidationError
from kazoo_media.media.links import Link
from kazoo_media.settings import CACHE_MAX_AGE_S
from kazoo_media.transport.context import Call

_NUMBER = re.compile(r"-?[0-9]{1,12}", re.ASCII)
_LEAST_MAX_AGE_S = 86_400
"""Audio never changes under its link: a switch fetches it once a day at most."""


class LinkAnswers:
    """Answers requests for links, and requests that follow one."""

    def __init__(self, core: Core, contents: Contents, envelopes: Envelopes) -> None:
        self._library = core.library
        self._downloads = core.downloads
        self._links = core.links
        self._settings = core.settings
        self._contents = contents
        self._envelopes = envelopes

    async def create(self, scope: ReadScope, request: Request) -> Answer:
        """Return a link to the audio of a media."""
        if request.foreign:
            message = f"content type {request.content_type!r} is not JSON"
            raise UnsupportedMediaTypeError(message, JSON_TYPES)
        media = await self._library.get(scope, decoded(request.target.name))
        data = request.data
        forced = data.get("rendition") or ""
        if not isinstance(forced, str):
            raise ValidationError([wrong_type("rendition", "string", forced)])
        rendition = self._downloads.select(media, rendition_kind(forced) if forced else None)
        link = await self._links.create(media, rendition, _lifetime_s(data))
        return Answer.whole(200, await self._envelopes.success(request, link_fields(link)))

    async def follow(self, request: Request) -> Answer:
        """Return the audio of a link or a part of it, or 304 if the client has it already."""
        target = request.target
        found = await self._links.open(
            target.account_id,
            decoded(target.name),
            target.extension,
            request.query_value("sig"),
        )
        Call.note_account(found.media.account_id)
        max_age_s = max(_LEAST_MAX_AGE_S, await self._settings.get(CACHE_MAX_AGE_S))
        if found.expires_s is not None:
            max_age_s = max(0, min(max_age_s, found.expires_s - int(time.time())))
        check_match(request.headers, found.media)
        caching = {"cache-control": f"private, max-age={max_age_s}"}
        return await self._contents.sent(request, found.media, found.rendition, caching)


def link_fields(link: Link) -> dict[str, Any]:
    """Return a link as an answer shows it."""
    fields: dict[str, Any] = {
        "link": link.url,
        "content_type": link.rendition.content_type,
        "content_length": link.rendition.size_bytes,
    }
    if link.expires_s is not None:
        end = time.gmtime(link.expires_s)
        fields["expires"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", end)
    return fields


def _lifetime_s(data: Mapping[str, Any]) -> int | None:
    value = data.get("lifetime_s")
    if value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError([wrong_type("lifetime_s", "integer", value)])
    return value
