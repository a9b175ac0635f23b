"""UploadService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

from typing_extensions import override

from kazoo_media.core import Core
from kazoo_media.recordings.upload import Upload
from kazoo_media.rpc.appending import appending, read_header
from kazoo_media.rpc.callers import Callers
from kazoo_media.rpc.convert import media_answer
from kazoo_media.rpc.fields import enum_value, not_negative
from kazoo_media.rpc.paging import page_token, rows_of, start_of
from kazoo_media.rpc.upload_messages import (
    STATES,
    checked_reason,
    checked_upload_id,
    mode_of,
    spec_of,
    upload_message,
)
from kazoo_media.transport.context import Context
from kazoo_media.v1 import upload_service_pb2 as pb
from kazoo_media.v1.upload_service_pb2_grpc import UploadServiceServicer

_KEEPS: Mapping[int, bool] = {
    pb.FinishUploadRequest.END_KEEP: True,
    pb.FinishUploadRequest.END_DISCARD: False,
}


class UploadServicer(UploadServiceServicer):
    """Converts messages; the core decides."""

    def __init__(self, core: Core) -> None:
        self._recordings = core.recordings
        self._callers = Callers(core)

    @override
    async def AppendUpload(
        self, request_iterator: AsyncIterator[pb.AppendUploadRequest], context: Context
    ) -> AsyncIterator[pb.AppendUploadResponse]:
        messages = aiter(request_iterator)
        first = await read_header(messages)
        scope = await self._callers.may_write(context, first.header.account_id)
        spec = await spec_of(first.header.spec)
        stream = await self._recordings.open(scope, first.header.upload_id, spec)
        async with aclosing(appending(self._recordings, stream, first, messages)) as responses:
            async for response in responses:
                yield response

    @override
    async def GetUpload(
        self, request: pb.GetUploadRequest, context: Context
    ) -> pb.GetUploadResponse:
        scope = await self._callers.may_read(context, request.account_id)
        upload = await self._recordings.get(scope, checked_upload_id(request.upload_id))
        return pb.GetUploadResponse(upload=upload_message(upload))

    @override
    async def ListUploads(
        self, request: pb.ListUploadsRequest, context: Context
    ) -> pb.ListUploadsResponse:
        scope = await self._callers.may_read(context, request.account_id)
        states = {enum_value("states", each, STATES) for each in request.states}
        uploads, next_start = await self._recordings.list_page(
            scope, start_of(request.page_token), rows_of(request.page_size)
        )
        return pb.ListUploadsResponse(
            uploads=[
                upload_message(each) for each in uploads if not states or each.state in states
            ],
            next_page_token=page_token(next_start),
        )

    @override
    async def PauseUpload(
        self, request: pb.PauseUploadRequest, context: Context
    ) -> pb.PauseUploadResponse:
        scope = await self._callers.may_write(context, request.account_id)
        upload_id = checked_upload_id(request.upload_id)
        upload = await self._recordings.pause(scope, upload_id, mode_of(request.mode))
        return pb.PauseUploadResponse(upload=upload_message(upload))

    @override
    async def ResumeUpload(
        self, request: pb.ResumeUploadRequest, context: Context
    ) -> pb.ResumeUploadResponse:
        scope = await self._callers.may_write(context, request.account_id)
        upload = await self._recordings.resume(scope, checked_upload_id(request.upload_id))
        return pb.ResumeUploadResponse(upload=upload_message(upload))

    @override
    async def FinishUpload(
        self, request: pb.FinishUploadRequest, context: Context
    ) -> pb.FinishUploadResponse:
        scope = await self._callers.may_write(context, request.account_id)
        keeps = enum_value("end", request.end, _KEEPS)
        reason = checked_reason("end_reason", request.end_reason) or "finished_by_request"
        outcome = await self._recordings.finish_abandoned(
            scope, checked_upload_id(request.upload_id), reason, keep=keeps
        )
        return pb.FinishUploadResponse(
            upload=upload_message(Upload(outcome.row)),
            media=None if outcome.media is None else await media_answer(outcome.media),
        )

    @override
    async def TailUpload(
        self, request: pb.TailUploadRequest, context: Context
    ) -> AsyncIterator[pb.TailUploadResponse]:
        scope = await self._callers.may_read(context, request.account_id)
        offset = not_negative("offset_bytes", request.offset_bytes)
        tail = await self._recordings.tail(scope, checked_upload_id(request.upload_id), offset)
        yield pb.TailUploadResponse(
            header=pb.TailUploadResponse.Header(
                content_type=tail.content_type,
                offset_bytes=tail.offset,
                wav_header_bytes=len(tail.wav_header),
            )
        )
        if tail.wav_header:
            yield pb.TailUploadResponse(data=tail.wav_header)
        async with aclosing(tail.chunks):
            async for chunk in tail.chunks:
                yield pb.TailUploadResponse(data=chunk)
