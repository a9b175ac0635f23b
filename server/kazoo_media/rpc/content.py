"""The streams of UploadContent and DownloadContent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from google.protobuf.message import Message

from kazoo_media.errors import BadRequestError, IncompleteUploadError
from kazoo_media.media.downloads import ByteRange, Download
from kazoo_media.media.library import Put, new_media_id
from kazoo_media.media.uploads import Declared, Finish
from kazoo_media.model import Rendition, RenditionKind
from kazoo_media.rpc.convert import rendition_message, sent_document
from kazoo_media.rpc.edits import edit_of
from kazoo_media.rpc.fields import enum_value, not_negative, required, violation
from kazoo_media.transport.context import Call, Context
from kazoo_media.v1 import media_pb2
from kazoo_media.v1.media_service_pb2 import (
    CreateLinkRequest,
    DownloadContentRequest,
    DownloadContentResponse,
    GetPeaksRequest,
    UploadContentRequest,
)

_KINDS: Mapping[int, RenditionKind | None] = {
    media_pb2.RENDITION_KIND_UNSPECIFIED: None,
    media_pb2.RENDITION_KIND_ORIGINAL: RenditionKind.ORIGINAL,
    media_pb2.RENDITION_KIND_NORMALIZED: RenditionKind.NORMALIZED,
}

_DRAIN_BYTES = 4 * 1024 * 1024
_DRAIN_S = 0.05


async def read_first(messages: AsyncIterator[UploadContentRequest]) -> UploadContentRequest:
    """Return the first message of an upload; it has a header.

    Raises:
        BadRequestError: it has none, or there is no message.
        ValidationError: a field of the header breaks a rule.
    """
    first = await anext(messages, None)
    if first is None or not first.HasField("header"):
        raise BadRequestError("the first message must have the header")
    header = first.header
    if not header.HasField("media"):
        required("header.media_id", header.media_id)
        if header.only_create:
            raise violation("header.only_create", "invalid", "needs `media`")
    elif header.media_id:
        raise violation("header.media_id", "invalid", "must be empty: the id is in `media`")
    not_negative("header.expected_bytes", header.expected_bytes)
    return first


def declared_of(header: UploadContentRequest.Header) -> Declared:
    """Return what a header declares."""
    return Declared(
        header.content_type or None, header.expected_bytes or None, preset=header.preset
    )


async def put_of(header: UploadContentRequest.Header) -> Put:
    """Return the change of the document that a header requests.

    Raises:
        ValidationError: the fields of the media or the mask break rules.
    """
    document = await sent_document(header.media)
    return Put(
        media_id=header.media.id or new_media_id(),
        data=document,
        edit=edit_of(document, header.update_mask.paths),
        only_create=header.only_create,
    )


async def read_parts(
    first: UploadContentRequest, messages: AsyncIterator[UploadContentRequest], context: Context
) -> AsyncGenerator[bytes | Finish, None]:
    """Invite the client to send, then yield the data of an upload and finally its finish.

    Clients may wait for the invitation: everything that can be refused unread is refused before it.
    The finish is held back until the stream ends, when nothing can follow it any more.

    Raises:
        BadRequestError: a second header, an empty message, or anything after the finish.
        IncompleteUploadError: there is no finish.
    """
    if not first.HasField("finish"):
        await Call.invite(context)
    if first.HasField("data"):
        yield first.data
    last = first
    async for message in messages:
        _check_order(last, message)
        if message.HasField("data"):
            yield message.data
        last = message
    if not last.HasField("finish"):
        raise IncompleteUploadError(
            "the stream ended without a finish: nothing was changed, send it again"
        )
    yield Finish(last.finish.size_bytes, last.finish.sha256)


def _check_order(last: UploadContentRequest, message: UploadContentRequest) -> None:
    if last.HasField("finish"):
        raise BadRequestError("the finish must be in the last message")
    if message.HasField("header"):
        raise BadRequestError("the header must be in the first message and in no other")
    if not message.HasField("data") and not message.HasField("finish"):
        raise BadRequestError("after the header every message must have data or the finish")


async def drain(messages: AsyncIterator[Message]) -> None:
    """Read the rest of a refused upload if it is small and arrives soon.

    A client that is refused while it sends may lose the status: in 2 to 7 of 100 refusals grpc.aio
    reports INTERNAL "Internal error from Core" instead.
    """
    drained_bytes = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            async for message in messages:
                drained_bytes += message.ByteSize()
                if drained_bytes > _DRAIN_BYTES:
                    return


def requested_kind(
    request: DownloadContentRequest | GetPeaksRequest | CreateLinkRequest,
) -> RenditionKind | None:
    """Return the requested rendition, None for the served one.

    Raises:
        ValidationError: the kind is unknown.
    """
    return enum_value("rendition", request.rendition, _KINDS)


def lifetime_s(request: CreateLinkRequest) -> int | None:
    """Return the requested lifetime of a link; None: it has no end.

    Raises:
        ValidationError: it has parts of a second.
    """
    if not request.HasField("lifetime"):
        return None
    if request.lifetime.nanos:
        raise violation("lifetime", "invalid", "must be whole seconds")
    return request.lifetime.seconds


def requested_range(request: DownloadContentRequest, size_bytes: int) -> ByteRange:
    """Return the requested part of a rendition.

    Raises:
        ValidationError: the limit is negative, or there is a limit with an offset from the end.
        RangeNotSatisfiableError: the range starts at or after the end.
    """
    limit = not_negative("limit_bytes", request.limit_bytes)
    if request.offset_bytes < 0 and limit:
        raise violation("limit_bytes", "invalid", "must be 0 if offset_bytes is negative")
    return ByteRange.within(size_bytes, request.offset_bytes, limit or None)


async def responses(
    rendition: Rendition, span: ByteRange, download: Download
) -> AsyncIterator[DownloadContentResponse]:
    """Yield the messages of a download: the header, then the bytes."""
    yield DownloadContentResponse(
        header=DownloadContentResponse.Header(
            rendition=rendition_message(rendition),
            offset_bytes=span.offset,
            length_bytes=span.length,
        )
    )
    async for chunk in download.chunks():
        yield DownloadContentResponse(data=chunk)
