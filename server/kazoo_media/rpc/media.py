"""MediaService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from typing_extensions import override

from kazoo_media.access.accounts import WriteScope
from kazoo_media.core import Core
from kazoo_media.documents.large import computed
from kazoo_media.errors import MediaError
from kazoo_media.media.library import Page
from kazoo_media.media.uploads import Source
from kazoo_media.media.waveforms import DEFAULT_BUCKETS
from kazoo_media.model import Media, unix_time_ms
from kazoo_media.rpc.callers import Callers
from kazoo_media.rpc.content import (
    declared_of,
    drain,
    lifetime_s,
    put_of,
    read_first,
    read_parts,
    requested_kind,
    requested_range,
    responses,
)
from kazoo_media.rpc.convert import (
    link_message,
    media_answer,
    media_message,
    sent_document,
    version_message,
)
from kazoo_media.rpc.edits import edit_of
from kazoo_media.rpc.fields import required
from kazoo_media.rpc.paging import page_token
from kazoo_media.rpc.queries import query_of
from kazoo_media.transport.context import Context
from kazoo_media.v1 import media_service_pb2 as pb
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceServicer


class MediaServicer(MediaServiceServicer):
    """Documents and their audio."""

    def __init__(self, core: Core) -> None:
        self._callers = Callers(core)
        self._library = core.library
        self._uploads = core.uploads
        self._downloads = core.downloads
        self._links = core.links
        self._versions = core.versions
        self._renormalization = core.renormalization
        self._waveforms = core.waveforms
        self._measuring = core.measuring

    @override
    async def CreateMedia(
        self, request: pb.CreateMediaRequest, context: Context
    ) -> pb.CreateMediaResponse:
        scope = await self._callers.may_write(context, request.account_id)
        document = await sent_document(request.media)
        media = await self._library.create(scope, document, request.media.id)
        return pb.CreateMediaResponse(media=await media_answer(media))

    @override
    async def GetMedia(self, request: pb.GetMediaRequest, context: Context) -> pb.GetMediaResponse:
        scope = await self._callers.may_read(context, request.account_id)
        media = await self._library.get(scope, required("media_id", request.media_id))
        media = await self._measuring.measured(media)
        return pb.GetMediaResponse(media=await media_answer(media))

    @override
    async def ListMedia(
        self, request: pb.ListMediaRequest, context: Context
    ) -> pb.ListMediaResponse:
        scope = await self._callers.may_read(context, request.account_id)
        page = await self._library.list_page(scope, query_of(request))
        documents = [media.document for media in page.items]
        return await computed(lambda: _list_response(page), documents)

    @override
    async def UpdateMedia(
        self, request: pb.UpdateMediaRequest, context: Context
    ) -> pb.UpdateMediaResponse:
        scope = await self._callers.may_write(context, request.account_id)
        media_id = required("media.id", request.media.id)
        document = await sent_document(request.media)
        edit = edit_of(document, request.update_mask.paths)
        media = await self._library.update(scope, media_id, edit, document, request.if_revision)
        return pb.UpdateMediaResponse(media=await media_answer(media))

    @override
    async def DeleteMedia(
        self, request: pb.DeleteMediaRequest, context: Context
    ) -> pb.DeleteMediaResponse:
        scope = await self._callers.may_write(context, request.account_id)
        media_id = required("media_id", request.media_id)
        media = await self._library.delete(
            scope, media_id, hard=request.hard, if_revision=request.if_revision
        )
        return pb.DeleteMediaResponse(media=await media_answer(media))

    @override
    async def ListVersions(
        self, request: pb.ListVersionsRequest, context: Context
    ) -> pb.ListVersionsResponse:
        scope = await self._callers.may_read(context, request.account_id)
        found = await self._versions.list(scope, required("media_id", request.media_id))
        return pb.ListVersionsResponse(versions=map(version_message, found))

    @override
    async def RestoreMedia(
        self, request: pb.RestoreMediaRequest, context: Context
    ) -> pb.RestoreMediaResponse:
        scope = await self._callers.may_write(context, request.account_id)
        media_id = required("media_id", request.media_id)
        if request.version:
            media = await self._versions.put_back(scope, media_id, request.version)
        else:
            media = await self._versions.undelete(scope, media_id)
        return pb.RestoreMediaResponse(media=await media_answer(media))

    @override
    async def PurgeMedia(
        self, request: pb.PurgeMediaRequest, context: Context
    ) -> pb.PurgeMediaResponse:
        scope = await self._callers.may_write(context, request.account_id)
        until_ms = unix_time_ms()
        if request.HasField("deleted_until"):
            until_ms = request.deleted_until.ToMilliseconds()
        count = await self._library.purge(scope, until_ms)
        return pb.PurgeMediaResponse(purged_count=count)

    @override
    async def UploadContent(
        self, request_iterator: AsyncIterator[pb.UploadContentRequest], context: Context
    ) -> pb.UploadContentResponse:
        messages = aiter(request_iterator)
        try:
            first = await read_first(messages)
            scope = await self._callers.may_write(context, first.header.account_id)
            async with aclosing(read_parts(first, messages, context)) as source:
                return await self._upload(scope, first.header, source)
        except MediaError:
            await drain(messages)
            raise

    async def _upload(
        self, scope: WriteScope, header: pb.UploadContentRequest.Header, source: Source
    ) -> pb.UploadContentResponse:
        if header.HasField("media"):
            upload = await self._uploads.begin_put(scope, await put_of(header))
        else:
            upload = await self._uploads.begin(scope, header.media_id)
        change = await upload.receive(declared_of(header), source)
        return pb.UploadContentResponse(
            media=await media_answer(change.after), created=change.before is None
        )

    @override
    async def NormalizeMedia(
        self, request: pb.NormalizeMediaRequest, context: Context
    ) -> pb.NormalizeMediaResponse:
        scope = await self._callers.may_write(context, request.account_id)
        media_id = required("media_id", request.media_id)
        result = await self._renormalization.normalize(
            scope, media_id, preset=request.preset, force=request.force
        )
        return pb.NormalizeMediaResponse(
            media=await media_answer(result.media), converted=result.converted
        )

    @override
    async def DownloadContent(
        self, request: pb.DownloadContentRequest, context: Context
    ) -> AsyncIterator[pb.DownloadContentResponse]:
        scope = await self._callers.may_read(context, request.account_id)
        media = await self._library.get(scope, required("media_id", request.media_id))
        content = media.content
        if request.version:
            content = await self._versions.content(scope, media.id, request.version)
        kind = requested_kind(request)
        rendition = self._downloads.select(replace(media, content=content), kind)
        span = requested_range(request, rendition.size_bytes)
        async with await self._downloads.open(media, rendition, span) as download:
            async for response in responses(rendition, span, download):
                yield response

    @override
    async def GetPeaks(self, request: pb.GetPeaksRequest, context: Context) -> pb.GetPeaksResponse:
        scope = await self._callers.may_read(context, request.account_id)
        media = await self._library.get(scope, required("media_id", request.media_id))
        rendition = self._downloads.select(media, requested_kind(request))
        buckets = request.bucket_count or DEFAULT_BUCKETS
        waveform = await self._waveforms.waveform(media, rendition, buckets)
        return pb.GetPeaksResponse(
            sample_rate_hertz=waveform.sample_rate_hertz,
            samples_per_bucket=waveform.samples_per_bucket,
            data=waveform.data,
        )

    @override
    async def CreateLink(
        self, request: pb.CreateLinkRequest, context: Context
    ) -> pb.CreateLinkResponse:
        scope = await self._callers.may_read(context, request.account_id)
        media = await self._library.get(scope, required("media_id", request.media_id))
        rendition = self._downloads.select(media, requested_kind(request))
        link = await self._links.create(media, rendition, lifetime_s(request))
        return pb.CreateLinkResponse(link=link_message(link))


def _list_response(page: Page[Media]) -> pb.ListMediaResponse:
    return pb.ListMediaResponse(
        media=map(media_message, page.items), next_page_token=page_token(page.next_start)
    )
