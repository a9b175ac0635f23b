"""The operations that resolve a prompt: to a link, or to its audio."""

from __future__ import annotations

import re
from typing import Any

from kazoo_media.access.accounts import PlayScope, ReadScope
from kazoo_media.core import Core
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.content import Contents
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.identifiers import decoded, written
from kazoo_media.crossbar.links import link_fields
from kazoo_media.crossbar.requests import Request
from kazoo_media.media.resolution import PassedOver, Resolution

_LANGUAGE = re.compile(r"[A-Za-z0-9-]{1,64}")
"""A language that a header can have: that of a document may be any text."""

_REDIRECT_LIFETIME_S = 3600
"""Of the link that a redirect names: a removed playback key plays at most so much longer."""


class ResolutionAnswers:
    """Answers requests that resolve prompts."""

    def __init__(self, core: Core, contents: Contents, envelopes: Envelopes) -> None:
        self._resolver = core.resolver
        self._links = core.links
        self._contents = contents
        self._envelopes = envelopes

    async def describe(self, scope: ReadScope, request: Request) -> Answer:
        """Return the media of a prompt, a link to its audio, and what was passed over."""
        found = await self._resolved(scope, request, request.query_value("format"))
        link = await self._links.create(found.media, found.rendition)
        data = {
            "id": written(found.media.id, prompt=True),
            "account_id": found.media.account_id,
            "language": found.language,
            **link_fields(link),
            "passed_over": [_fields(each) for each in found.passed_over],
        }
        return Answer.whole(200, await self._envelopes.success(request, data))

    async def download(self, scope: PlayScope, request: Request) -> Answer:
        """Return the audio that a prompt resolves to, or with `redirect` a redirect to its link."""
        found = await self._resolved(scope, request, request.target.extension)
        headers = {}
        if _LANGUAGE.fullmatch(found.language):
            headers["content-language"] = found.language
        if request.query_value("redirect") == "true":
            link = await self._links.create(found.media, found.rendition, _REDIRECT_LIFETIME_S)
            headers |= {"location": link.url, "cache-control": "private, no-cache"}
            return Answer(302, headers=headers, size_bytes=0)
        headers["cache-control"] = await self._contents.cache_control()
        return await self._contents.sent(request, found.media, found.rendition, headers)

    async def _resolved(self, scope: PlayScope, request: Request, extension: str) -> Resolution:
        prompt_id = decoded(request.target.name, "prompt_id")
        language = request.query_value("language")
        return await self._resolver.resolve(scope, prompt_id, language, extension)


def _fields(passed_over: PassedOver) -> dict[str, Any]:
    return {
        "id": written(passed_over.media_id, prompt=True),
        "account_id": passed_over.account_id,
        "language": passed_over.language,
        "reason": str(passed_over.reason),
    }
