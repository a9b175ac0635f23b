"""Recordings in the shape of Kazoo's `recordings`.

Source: Kazoo cb_recordings.erl, schemas/call_recordings.json.
"""

from __future__ import annotations

from typing import Any

from kazoo_media.access.accounts import ReadScope, WriteScope
from kazoo_media.audio.formats import extension_of
from kazoo_media.core import Core
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.conditions import (
    check_conditions,
    check_match,
    is_unchanged,
    pinned_revision,
)
from kazoo_media.crossbar.documents import is_hard_delete, validators
from kazoo_media.crossbar.envelopes import Envelopes, public
from kazoo_media.crossbar.identifiers import decoded
from kazoo_media.crossbar.requests import Request
from kazoo_media.model import Media


class RecordingDocuments:
    """Answers requests about one recording, apart from its audio."""

    def __init__(self, core: Core, envelopes: Envelopes) -> None:
        self._recordings = core.stored_recordings
        self._library = core.library
        self._measuring = core.measuring
        self._envelopes = envelopes

    async def get(self, scope: ReadScope, request: Request) -> Answer:
        """Return the document of a recording, or 304 if the client has it already."""
        media = await self._recordings.get(scope, decoded(request.target.name))
        check_match(request.headers, media)
        if is_unchanged(request.headers, media.revision, media.modified_ms):
            return Answer(304, headers=validators(media))
        media = await self._measuring.measured(media)
        data = recording_of(media)
        body = await self._envelopes.success(request, data, revision=media.revision)
        return Answer.whole(200, body, validators(media))

    async def delete(self, scope: WriteScope, request: Request) -> Answer:
        """Delete a recording and return its document."""
        media = await self._recordings.get(scope, decoded(request.target.name))
        check_conditions(request.headers, media)
        media = await self._library.delete(
            scope,
            media.id,
            hard=is_hard_delete(request),
            if_revision=pinned_revision(request.headers, media),
        )
        data = recording_of(media)
        data["_read_only"]["deleted"] = True
        body = await self._envelopes.success(request, data, revision=media.revision)
        return Answer.whole(200, body)


_OF_MEDIA = frozenset({"tts", "streamable"})
"""Keys with defaults that a recording of Kazoo does not have."""


def recording_of(media: Media) -> dict[str, Any]:
    """Return the document of a recording with the keys that Kazoo's has."""
    document = {key: value for key, value in public(media).items() if key not in _OF_MEDIA}
    duration_ms = document.get("duration_ms")
    if duration_ms is not None:
        document.setdefault("duration", round(duration_ms / 1000))
    types: list[str] = []
    if media.content is not None:
        types = list(dict.fromkeys(each.content_type for each in media.content.renditions))
        document.setdefault("media_type", extension_of(media.content.served.content_type))
    return {**document, "media_source": "recorded", "_read_only": {"content_types": types}}
