"""A recorder that still sends when the service ends its stream learns why, every time.

grpc.aio's client makes up a status of its own when a write fails before the service's status has
arrived; `TrueStatus`, through which `Recorder` sees its calls, waits for the right one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import pytest

from kazoo_media.client.true_status import TrueStatus
from kazoo_media.v1 import upload_service_pb2 as pb
from kazoo_media.v1.media_pb2 import Media
from kazoo_media.v1.upload_service_pb2_grpc import UploadServiceStub
from tests.rpc.service import Live, refusal_of
from tests.support.repetitions import repetitions

_COUNT = repetitions(4, 25)
"""Of streams that are ended at once."""

_TURNS = range(repetitions(1, 10))

_LIMIT_BYTES = 60_000
_RAW = pb.RawAudio(encoding=pb.RAW_ENCODING_MULAW, sample_rate_hertz=8000, channel_count=1)


def _header(live: Live, upload_id: str, max_bytes: int = 0) -> pb.AppendUploadRequest.Header:
    spec = pb.UploadSpec(media=Media(name="call"), raw=_RAW, max_bytes=max_bytes)
    return pb.AppendUploadRequest.Header(
        account_id=live.tenant.account_id, upload_id=upload_id, spec=spec
    )


class _Sender:
    """A recorder that sends without a pause until its stream has ended."""

    def __init__(self, live: Live, upload_id: str, max_bytes: int = 0) -> None:
        self._header = _header(live, upload_id, max_bytes)
        stub: Any = UploadServiceStub(live.channel)
        self._call = stub.AppendUpload(metadata=live.tenant.metadata)
        self._status = TrueStatus(self._call)
        self.runs = asyncio.Event()

    async def ended(self) -> tuple[str, str]:
        """Return code and reason of the status."""
        reading = asyncio.ensure_future(self._read())
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.write(pb.AppendUploadRequest(header=self._header))
            offset = 0
            while True:
                data = bytes(1000)
                await self._call.write(pb.AppendUploadRequest(write_offset=offset, data=data))
                offset += len(data)
                await asyncio.sleep(0.001)
        error = await self._status.wait()
        await reading
        assert error is not None
        return error.code().name, refusal_of(error).info.reason

    async def _read(self) -> None:
        with suppress(grpc.aio.AioRpcError):
            async for _ in self._call:
                self.runs.set()


async def _take_over(live: Live, upload_id: str) -> None:
    stub: Any = UploadServiceStub(live.channel)
    newer = stub.AppendUpload(metadata=live.tenant.metadata)
    await newer.write(pb.AppendUploadRequest(header=_header(live, upload_id)))
    await newer.read()
    newer.cancel()


async def _finish(live: Live, upload_id: str, end: pb.FinishUploadRequest.End.ValueType) -> None:
    stub: Any = UploadServiceStub(live.channel)
    request = pb.FinishUploadRequest(
        account_id=live.tenant.account_id, upload_id=upload_id, end=end
    )
    await stub.FinishUpload(request, metadata=live.tenant.metadata)


_End = Callable[[Live, str], Awaitable[None]]
_ENDS: Mapping[str, tuple[_End, tuple[str, str]]] = {
    "taken over": (_take_over, ("ABORTED", "TAKEN_OVER")),
    "finished": (
        lambda live, upload_id: _finish(live, upload_id, pb.FinishUploadRequest.END_KEEP),
        ("ABORTED", "TAKEN_OVER"),
    ),
    "discarded": (
        lambda live, upload_id: _finish(live, upload_id, pb.FinishUploadRequest.END_DISCARD),
        ("ABORTED", "TAKEN_OVER"),
    ),
}


@pytest.mark.parametrize("_turn", _TURNS)
@pytest.mark.parametrize("end", _ENDS)
async def test_every_recorder_whose_stream_is_ended_learns_why(
    live: Live, end: str, _turn: int
) -> None:
    end_stream, status = _ENDS[end]
    senders = {f"call-{number}": _Sender(live, f"call-{number}") for number in range(_COUNT)}
    ended = [asyncio.ensure_future(each.ended()) for each in senders.values()]
    for upload_id, sender in senders.items():
        await sender.runs.wait()
        await end_stream(live, upload_id)
    assert Counter(await asyncio.gather(*ended)) == {status: _COUNT}


@pytest.mark.parametrize("_turn", _TURNS)
async def test_every_recorder_that_is_refused_learns_why(live: Live, _turn: int) -> None:
    senders = [_Sender(live, f"call-{number}", _LIMIT_BYTES) for number in range(_COUNT)]
    ended = await asyncio.gather(*(each.ended() for each in senders))
    assert Counter(ended) == {("INVALID_ARGUMENT", "TOO_LARGE"): _COUNT}


@pytest.mark.parametrize("_turn", _TURNS)
async def test_every_recorder_that_is_drained_learns_why(live: Live, _turn: int) -> None:
    senders = [_Sender(live, f"call-{number}") for number in range(_COUNT)]
    ended = [asyncio.ensure_future(each.ended()) for each in senders]
    for each in senders:
        await each.runs.wait()
    await live.service.core.recordings.drain()
    assert Counter(await asyncio.gather(*ended)) == {("UNAVAILABLE", "DRAINING"): _COUNT}
