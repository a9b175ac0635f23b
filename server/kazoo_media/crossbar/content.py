"""Operations on audio: upload and download."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

from kazoo_media.access.accounts import PlayScope, WriteScope
from kazoo_media.audio.formats import essence
from kazoo_media.core import Core
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.bodies import Body
from kazoo_media.crossbar.conditions import (
    check_conditions,
    check_match,
    entity_tag,
    is_unchanged,
    last_modified,
    requested_range,
)
from kazoo_media.crossbar.content_types import JSON_TYPES
from kazoo_media.crossbar.dispositions import content_disposition
from kazoo_media.crossbar.encodings import unwrapped
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.identifiers import decoded
from kazoo_media.crossbar.negotiation import Accept
from kazoo_media.crossbar.operations import Resource
from kazoo_media.crossbar.requests import Request
from kazoo_media.crossbar.versions import version_number
from kazoo_media.documents.violations import not_listed
from kazoo_media.errors import EmptyContentError, ValidationError
from kazoo_media.media.downloads import ByteRange
from kazoo_media.media.uploads import Declared
from kazoo_media.model import Media, Rendition, RenditionKind
from kazoo_media.settings import CACHE_MAX_AGE_S, REDIRECT_S


class Contents:
    """Answers requests that upload or download audio."""

    def __init__(self, core: Core, envelopes: Envelopes) -> None:
        self._library = core.library
        self._recordings = core.stored_recordings
        self._uploads = core.uploads
        self._downloads = core.downloads
        self._versions = core.versions
        self._settings = core.settings
        self._envelopes = envelopes

    async def upload(self, scope: WriteScope, request: Request, body: Body) -> Answer:
        """Replace the audio of a media and return its document."""
        media_id = decoded(request.target.name)
        upload = await self._uploads.begin(scope, media_id)
        check_conditions(request.headers, upload.media)
        if essence(request.content_type) in JSON_TYPES:
            raise EmptyContentError
        encoding = request.headers.get("content-transfer-encoding", "")
        audio = await unwrapped(
            request.content_type,
            encoding,
            request.size_bytes,
            body.pieces(),
            upload.limit_bytes,
        )
        name = request.parameter("filename")
        declared = Declared(
            audio.content_type or None,
            audio.size_bytes,
            attachment_name=name,
            preset=request.query_value("preset"),
            file_name=name or audio.file_name,
        )
        change = await upload.receive(declared, audio.pieces)
        return await self._envelopes.of_media(request, change.after)

    async def download(self, scope: PlayScope, request: Request) -> Answer:
        """Return audio or a part of it, or 304 if the client has it already."""
        return await self.of_media(scope, request, await self._found(scope, request))

    async def of_media(self, scope: PlayScope, request: Request, media: Media) -> Answer:
        """Return the audio of a media or a part of it, or 304 if the client has it already."""
        check_match(request.headers, media)
        content = media.content
        if number := request.query_value("version"):
            content = await self._versions.content(scope, media.id, version_number(number))
        rendition = self._chosen(replace(media, content=content), request)
        caching = {"cache-control": await self.cache_control(), "vary": "accept"}
        return await self.sent(request, media, rendition, caching)

    async def sent(
        self, request: Request, media: Media, rendition: Rendition, caching: Mapping[str, str]
    ) -> Answer:
        """Return a rendition or a part of it, 304 if the client has it already, or a redirect.

        Args:
            caching: Headers that tell how long it may be kept.
        """
        content_type = Accept.of(request.accept).named_type(rendition.content_type)
        tag = entity_tag(rendition.sha256)
        modified = last_modified(media)
        headers = {**caching, "etag": f'"{tag}"', "last-modified": modified}
        if is_unchanged(request.headers, tag, media.modified_ms):
            return Answer(304, content_type=content_type, headers=headers)
        headers |= {"accept-ranges": "bytes", "x-content-type-options": "nosniff"}
        headers["content-disposition"] = content_disposition(
            media,
            rendition,
            request.parameter("filename"),
            inline=request.query_value("inline") == "true",
        )
        lifetime_s = await self._settings.get(REDIRECT_S)
        if lifetime_s and not request.only_headers:
            shown = headers["content-disposition"]
            if link := self._downloads.link(rendition, lifetime_s, content_type, shown):
                away = {"location": link, "cache-control": "no-store"}
                return Answer(302, content_type=content_type, headers=away, size_bytes=0)
        whole = ByteRange(0, rendition.size_bytes)
        if request.only_headers:
            async with await self._downloads.open(media, rendition, whole):
                pass  # a HEAD of damaged audio fails as its GET does
            return Answer(200, b"", content_type, headers, size_bytes=whole.length)
        part = requested_range(request.headers, rendition.size_bytes, tag, modified)
        if part is not None:
            last = part.offset + part.length - 1
            headers["content-range"] = f"bytes {part.offset}-{last}/{rendition.size_bytes}"
        span = part or whole
        stream = self._pieces(media, rendition, span)
        first = await anext(stream)  # up to here a failure is still a proper error
        status = 206 if part else 200
        return Answer(status, first, content_type, headers, stream, span.length)

    async def _found(self, scope: PlayScope, request: Request) -> Media:
        if request.target.resource is Resource.RECORDING:
            return await self._recordings.get(scope, decoded(request.target.name))
        return await self._library.get(scope, decoded(request.target.name))

    async def _pieces(
        self, media: Media, rendition: Rendition, part: ByteRange
    ) -> AsyncGenerator[bytes, None]:
        async with await self._downloads.open(media, rendition, part) as download:
            async for chunk in download.chunks():
                yield chunk

    def _chosen(self, media: Media, request: Request) -> Rendition:
        forced = request.query_value("rendition")
        served = self._downloads.select(media, rendition_kind(forced) if forced else None)
        if forced or media.content is None:
            return served
        return Accept.of(request.accept).choose(media.content.renditions, request.target.extension)

    async def cache_control(self) -> str:
        """Return how long audio may be kept whose URL stays when the audio changes."""
        max_age_s = await self._settings.get(CACHE_MAX_AGE_S)
        return f"private, max-age={max_age_s}" if max_age_s else "private, no-cache"


def rendition_kind(text: str) -> RenditionKind:
    """Return the rendition that a parameter names.

    Raises:
        ValidationError: no rendition has this kind.
    """
    kinds = [str(kind) for kind in RenditionKind]
    if text not in kinds:
        raise ValidationError([not_listed("rendition", kinds, text)])
    return RenditionKind(text)
