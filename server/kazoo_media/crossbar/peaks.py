"""The operation that returns a waveform."""

from __future__ import annotations

import re

from kazoo_media.access.accounts import ReadScope
from kazoo_media.core import Core
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.conditions import entity_tag, is_unchanged
from kazoo_media.crossbar.content import rendition_kind
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.identifiers import decoded
from kazoo_media.crossbar.requests import Request
from kazoo_media.documents.violations import wrong_type
from kazoo_media.errors import ValidationError
from kazoo_media.media.waveforms import DEFAULT_BUCKETS, check_buckets

_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_FORMAT_VERSION = 2
_BITS = 8


class Peaks:
    """Answers requests for waveforms."""

    def __init__(self, core: Core, envelopes: Envelopes) -> None:
        self._library = core.library
        self._downloads = core.downloads
        self._waveforms = core.waveforms
        self._envelopes = envelopes

    async def get(self, scope: ReadScope, request: Request) -> Answer:
        """Return an envelope that is valid audiowaveform JSON: peaks.js and wavesurfer.js read it.

        Source: audiowaveform, doc/DataFormat.md, JSON data format.
        """
        buckets = _buckets(request.query_value("buckets"))
        media = await self._library.get(scope, decoded(request.target.name))
        forced = request.query_value("rendition")
        rendition = self._downloads.select(media, rendition_kind(forced) if forced else None)
        tag = entity_tag(rendition.sha256)
        headers = {"etag": f'"{tag}-{buckets}"', "cache-control": "private, no-cache"}
        if is_unchanged(request.headers, f"{tag}-{buckets}"):
            return Answer(304, headers=headers)
        waveform = await self._waveforms.waveform(media, rendition, buckets)
        body = await self._envelopes.success(
            request,
            waveform.data,
            version=_FORMAT_VERSION,
            channels=1,
            sample_rate=waveform.sample_rate_hertz,
            samples_per_pixel=waveform.samples_per_bucket,
            bits=_BITS,
            length=waveform.length,
        )
        return Answer.whole(200, body, headers)


def _buckets(text: str) -> int:
    if not text:
        return DEFAULT_BUCKETS
    if not _NUMBER.fullmatch(text):
        raise ValidationError([wrong_type("buckets", "integer", text)])
    check_buckets(int(text))
    return int(text)
