"""The two streams of AppendUpload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

from kazoo_media.errors import BadRequestError, MediaError
from kazoo_media.metadata.uploads import UploadRow
from kazoo_media.recordings.recordings import Recordings
from kazoo_media.recordings.spec import Ending
from kazoo_media.recordings.states import pause_of
from kazoo_media.recordings.stream import Stream
from kazoo_media.recordings.upload import Outcome, seen_state
from kazoo_media.rpc.content import drain
from kazoo_media.rpc.convert import media_answer
from kazoo_media.rpc.fields import not_negative
from kazoo_media.rpc.upload_messages import MODE_NUMBERS, STATE_NUMBERS, ending_of, mark_of
from kazoo_media.v1.upload_service_pb2 import AppendUploadRequest, AppendUploadResponse

_LAST_MESSAGE_S = 0.05


async def read_header(messages: AsyncIterator[AppendUploadRequest]) -> AppendUploadRequest:
    """Return the first message of a stream; it has a header.

    Raises:
        BadRequestError: it has none, or there is no message.
    """
    first = await anext(messages, None)
    if first is None or not first.HasField("header"):
        raise BadRequestError("the first message must have the header")
    return first


async def appending(
    recordings: Recordings,
    stream: Stream,
    first: AppendUploadRequest,
    messages: AsyncIterator[AppendUploadRequest],
) -> AsyncGenerator[AppendUploadResponse, None]:
    """Yield the responses while the messages are appended, and close the stream.

    Raises:
        MediaError: a message is not permitted, or the stream has ended.
    """
    reading = asyncio.get_running_loop().create_task(_receive(stream, first, messages))
    try:
        yield _response(stream.row)
        if not stream.has_ended:
            async for row in stream.acknowledgements(reading):
                yield _response(row)
            try:
                ending = await reading
            except MediaError:
                with suppress(MediaError):  # what was sent before the fault stays
                    yield _response(await stream.flush())
                raise
            if ending is None:
                yield _response(await stream.flush())
                return
        else:
            ending = Ending()
        yield await _last_response(await recordings.finish(stream, ending))
    except MediaError:
        # The next message ends the reading with the same error, and the rest is drained: a client
        # that is refused while it sends may lose the status.
        await asyncio.wait([reading], timeout=_LAST_MESSAGE_S)
        if reading.done() and reading.exception() is not None:
            await drain(messages)
        raise
    finally:
        reading.cancel()
        stream.close()


async def _receive(
    stream: Stream, first: AppendUploadRequest, messages: AsyncIterator[AppendUploadRequest]
) -> Ending | None:
    """Append what the messages have; return the finish, None if there is none."""
    ending = await _receive_one(stream, first)
    async for message in messages:
        if ending is not None:
            raise BadRequestError("the finish must be in the last message")
        if message.HasField("header"):
            raise BadRequestError("the header must be in the first message and in no other")
        ending = await _receive_one(stream, message)
    return ending


async def _receive_one(stream: Stream, message: AppendUploadRequest) -> Ending | None:
    if stream.has_ended:
        return None
    offset = not_negative("write_offset", message.write_offset)
    if message.HasField("mark"):
        stream.mark(offset, mark_of(message.mark))
    if message.HasField("data"):
        await stream.append(
            offset, message.data, message.crc32c if message.HasField("crc32c") else None
        )
    if message.flush:
        stream.flush_soon()
    return ending_of(message.finish) if message.HasField("finish") else None


def _response(row: UploadRow) -> AppendUploadResponse:
    return AppendUploadResponse(
        persisted_size=row.persisted_size,
        persisted_crc32c=row.crc32c,
        state=STATE_NUMBERS[seen_state(row)],
        pause_mode=MODE_NUMBERS[pause_of(row)],
    )


async def _last_response(outcome: Outcome) -> AppendUploadResponse:
    response = _response(outcome.row)
    if outcome.media is not None:
        response.media.CopyFrom(await media_answer(outcome.media))
    return response
