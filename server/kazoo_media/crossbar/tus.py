"""Resumable uploads with the tus protocol, on the same core as uploads over gRPC.

Theory of operation:

1. A POST begins an upload and tells its URL; a PATCH appends. What arrives is durable at once in
   the sense of `recordings/`: a PATCH that breaks off keeps what has arrived.
2. Only an upload whose offset is its length is complete. So a PATCH that ends early and one that
   was broken off may look alike.
3. A HEAD or PATCH takes the upload over: one that hangs hinders nobody, and there are no locks.
4. An upload that is complete, but could not be finished, is finished by the next HEAD or PATCH.

Source: tus resumable upload protocol 1.0.0.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from time import time

from kazoo_media.access.accounts import WriteScope
from kazoo_media.audio.formats import essence
from kazoo_media.core import Core
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.bodies import Body
from kazoo_media.crossbar.requests import Request
from kazoo_media.crossbar.tus_headers import (
    CHUNK_TYPE,
    VERSION,
    Metadata,
    declared_size,
    is_deferred,
    offset_of,
)
from kazoo_media.errors import (
    MediaError,
    OffsetGapError,
    PreconditionFailedError,
    TooLargeError,
    UnsupportedMediaTypeError,
    UploadEndedError,
    UploadNotFoundError,
    ValidationError,
    Violation,
)
from kazoo_media.media.uploads import check_type
from kazoo_media.metadata.uploads import UploadRow, UploadState
from kazoo_media.recordings.spec import MOST_BYTES, Ending, UploadSpec
from kazoo_media.recordings.stream import Stream
from kazoo_media.recordings.upload import Upload
from kazoo_media.settings import IDLE_MINUTES

_ID_PREFIX = "tus-"


class _WrongOffsetError(OffsetGapError):
    """The bytes do not begin where the upload goes on."""

    text = "the upload goes on at {write_offset}"


@dataclass(frozen=True, slots=True)
class _Open:
    """An upload that this request holds.

    Attributes:
        size: Its length, None if that is not known yet.
        sha256: Digest of all its bytes, "" if the client has not told.
    """

    stream: Stream
    size: int | None
    sha256: str


class TusUploads:
    """Answers requests about resumable uploads."""

    def __init__(self, core: Core) -> None:
        self._recordings = core.recordings
        self._settings = core.settings

    async def create(self, scope: WriteScope, request: Request, body: Body) -> Answer:
        """Begin an upload, perhaps with its first bytes; answer 201 with its Location.

        If its first bytes fail, nothing is kept: the client never learns the URL.
        """
        _check_version(request)
        size = declared_size(request.headers)
        if size is None and not is_deferred(request.headers):
            text = "Upload-Length or Upload-Defer-Length: 1 is required"
            raise ValidationError([Violation("upload-length", "required", text, {})])
        if size is not None and size > MOST_BYTES:
            raise TooLargeError(MOST_BYTES)
        has_bytes = essence(request.content_type) == CHUNK_TYPE
        if has_bytes:
            _check_fits(request, MOST_BYTES if size is None else size)
        metadata = Metadata.of(request.headers.get("upload-metadata", ""))
        check_type(metadata.content_type)
        spec = UploadSpec(
            document=metadata.document(),
            content_type=metadata.content_type,
            note=metadata.text,
        )
        upload_id = f"{_ID_PREFIX}{secrets.token_hex(16)}"
        stream = await self._recordings.open(scope, upload_id, spec)
        try:
            if size is not None:
                await self._recordings.declare_size(scope, upload_id, size)
            if has_bytes:
                await self._receive(_Open(stream, size, metadata.sha256), request, body)
            received = stream.received_size
        except BaseException:
            with suppress(MediaError):  # it is a recording already, or the upkeep ends it
                await self._recordings.finish_abandoned(scope, upload_id, "failed", keep=False)
            raise
        finally:
            stream.close()
        location = f"/v2/accounts/{scope.account_id}/uploads/{upload_id}"
        headers = {"location": location, "upload-offset": str(received)}
        if received != size:
            headers |= await self._expiry()
        return Answer.whole(201, b"", headers)

    async def append(self, scope: WriteScope, request: Request, body: Body) -> Answer:
        """Append bytes where the upload goes on; finish it once it is complete."""
        _check_version(request)
        if essence(request.content_type) != CHUNK_TYPE:
            text = f"Content-Type must be {CHUNK_TYPE}"
            raise UnsupportedMediaTypeError(text, (CHUNK_TYPE,))
        offset = offset_of(request.headers)
        upload = await self._found(scope, request)
        size = upload.row.declared_size or None
        stream = await self._recordings.open(scope, upload.row.id, upload.spec)
        try:
            _check_offset(stream, offset)
            if sent := declared_size(request.headers):
                if sent > MOST_BYTES:
                    raise TooLargeError(MOST_BYTES)
                await self._recordings.declare_size(scope, upload.row.id, sent)
                size = sent
            await self._receive(_Open(stream, size, _sha256(upload)), request, body)
            received = stream.received_size
        finally:
            stream.close()
        headers = {"upload-offset": str(received)}
        if received != size:
            headers |= await self._expiry()
        return Answer(204, headers=headers)

    async def status(self, scope: WriteScope, request: Request) -> Answer:
        """Tell where the upload goes on; a PATCH that appends is taken over."""
        _check_version(request)
        upload = await self._found(scope, request)
        size = upload.row.declared_size or None
        stream = await self._recordings.open(scope, upload.row.id, upload.spec)
        try:
            offset = stream.received_size
            await self._finish_if_complete(_Open(stream, size, _sha256(upload)))
        finally:
            stream.close()
        headers = {"upload-offset": str(offset), "cache-control": "no-store"}
        headers |= {"upload-defer-length": "1"} if size is None else {"upload-length": str(size)}
        if upload.spec.note:
            headers["upload-metadata"] = upload.spec.note
        if offset != size:
            headers |= await self._expiry()
        return Answer.whole(200, b"", headers)

    async def terminate(self, scope: WriteScope, request: Request) -> Answer:
        """Discard the upload; a PATCH that appends is taken over."""
        _check_version(request)
        upload = await self._found(scope, request)
        await self._recordings.finish_abandoned(scope, upload.row.id, "terminated", keep=False)
        return Answer(204)

    async def _found(self, scope: WriteScope, request: Request) -> Upload:
        """Return an upload that is open, or complete.

        Raises:
            UploadNotFoundError: no request of this protocol has begun it.
            UploadEndedError: it was discarded, or kept as it was when its client stayed away.
        """
        upload_id = request.target.name
        if not upload_id.startswith(_ID_PREFIX):
            raise UploadNotFoundError(upload_id)
        upload = await self._recordings.get(scope, upload_id)
        row = upload.row
        if row.state is UploadState.DISCARDED or not _may_go_on(row):
            raise UploadEndedError(upload_id, row.state)
        return upload

    async def _receive(self, upload: _Open, request: Request, body: Body) -> None:
        """Append a body; what arrives of one that breaks off is kept.

        Raises:
            TooLargeError: it is longer than the rest of the upload. Nothing of it is kept if its
                Content-Length tells; otherwise what fits.
        """
        stream = upload.stream
        room = (MOST_BYTES if upload.size is None else upload.size) - stream.received_size
        _check_fits(request, room)
        left = room
        async for piece in body.pieces():
            if fitting := piece[:left]:
                await stream.append(stream.received_size, fitting)
            left -= len(fitting)
            if len(fitting) < len(piece):
                raise TooLargeError(room)
        if not stream.has_ended:
            await stream.flush()
        await self._finish_if_complete(upload)

    async def _finish_if_complete(self, upload: _Open) -> None:
        if upload.stream.received_size == upload.size:
            ending = Ending(size_bytes=upload.size, sha256=upload.sha256)
            await self._recordings.finish(upload.stream, ending)

    async def _expiry(self) -> Mapping[str, str]:
        idle_s = await self._settings.get(IDLE_MINUTES) * 60
        return {"upload-expires": formatdate(time() + idle_s, usegmt=True)}


def _check_fits(request: Request, room: int) -> None:
    if (request.size_bytes or 0) > room:
        raise TooLargeError(room)


def _sha256(upload: Upload) -> str:
    return Metadata.of(upload.spec.note).sha256


def _may_go_on(row: UploadRow) -> bool:
    """Return whether an upload waits for its client, or is complete."""
    return row.state is not UploadState.FINISHED or row.persisted_size == row.declared_size


def _check_version(request: Request) -> None:
    sent = request.headers.get("tus-resumable", "")
    if sent != VERSION:
        text = f"Tus-Resumable must be {VERSION}"
        raise PreconditionFailedError(text, expected=VERSION, actual=sent)


def _check_offset(stream: Stream, offset: int) -> None:
    if offset != stream.received_size:
        raise _WrongOffsetError(stream.received_size)
