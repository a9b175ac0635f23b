"""The promises of a recording over gRPC, on both engines; http1 is reached through Envoy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from typing_extensions import override

from kazoo_media.recordings.raw_audio import RawEncoding
from kazoo_media.recordings.spec import UploadSpec
from kazoo_media.recordings.time_line import Gap, Mark, Pause, PauseMode
from kazoo_media.rpc.values import to_value
from kazoo_media.v1 import upload_service_pb2 as pb
from kazoo_media.v1.media_pb2 import RENDITION_KIND_ORIGINAL, Media
from kazoo_media.v1.media_service_pb2 import DownloadContentRequest, GetMediaRequest
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from kazoo_media.v1.upload_service_pb2_grpc import UploadServiceStub
from tests.contract.recording_driver import (
    SPEC,
    RecordingDriver,
    RecordingRefusedError,
    RecordingStream,
    Seen,
)
from tests.contract.recording_promises import RecordingPromises
from tests.rpc.service import Live, refusal_of, refused

_MODES = {
    PauseMode.SILENCE: pb.PAUSE_MODE_SILENCE,
    PauseMode.SKIP: pb.PAUSE_MODE_SKIP,
}
_ENCODINGS = {
    RawEncoding.LINEAR16: pb.RAW_ENCODING_LINEAR16,
    RawEncoding.MULAW: pb.RAW_ENCODING_MULAW,
    RawEncoding.ALAW: pb.RAW_ENCODING_ALAW,
}


@contextmanager
def _converted_errors() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise _refused(error) from error


def _refused(error: Any) -> RecordingRefusedError:
    info = refusal_of(error).info
    return RecordingRefusedError(info.reason, dict(info.metadata), error.details())


def _state(number: pb.UploadState.ValueType) -> str:
    return pb.UploadState.Name(number).removeprefix("UPLOAD_STATE_").lower()


def _pause(number: pb.PauseMode.ValueType) -> str:
    return pb.PauseMode.Name(number).removeprefix("PAUSE_MODE_").lower().replace("unspecified", "")


def _spec(spec: UploadSpec) -> pb.UploadSpec:
    message = pb.UploadSpec(
        content_type=spec.content_type,
        max_bytes=spec.max_bytes,
        min_duration_ms=spec.min_duration_ms,
    )
    document = dict(spec.document or {})
    message.media.name = document.pop("name")
    if "prompt_id" in document:
        message.media.prompt_id = document.pop("prompt_id")
    for key, value in document.items():
        message.media.extra.fields[key].CopyFrom(to_value(value))
    if spec.raw is not None:
        message.raw.encoding = _ENCODINGS[spec.raw.encoding]
        message.raw.sample_rate_hertz = spec.raw.sample_rate_hertz
        message.raw.channel_count = spec.raw.channel_count
        message.raw.channel_roles.extend(spec.raw.channel_roles)
    return message


def _mark(mark: Mark) -> pb.AppendUploadRequest.Mark:
    if isinstance(mark, Pause):
        return pb.AppendUploadRequest.Mark(pause=_MODES[mark.mode])
    if isinstance(mark, Gap):
        return pb.AppendUploadRequest.Mark(gap_ms=mark.gap_ms)
    return pb.AppendUploadRequest.Mark(resume=True)


def _seen(answer: pb.AppendUploadResponse | pb.Upload, media: Media | None = None) -> Seen:
    return Seen(
        _state(answer.state),
        answer.persisted_size,
        answer.persisted_crc32c,
        _pause(answer.pause_mode),
        media.id if media is not None else "",
    )


class _GrpcStream(RecordingStream):
    def __init__(self, call: Any, first: pb.AppendUploadResponse) -> None:
        self._call = call
        self._has_ended = first.state in (pb.UPLOAD_STATE_FINISHED, pb.UPLOAD_STATE_DISCARDED)

    @override
    async def send(
        self,
        offset: int,
        data: bytes = b"",
        *,
        crc32c: int | None = None,
        mark: Mark | None = None,
        flush: bool = False,
    ) -> None:
        message = pb.AppendUploadRequest(
            write_offset=offset,
            data=data,
            crc32c=crc32c,
            flush=flush,
            mark=None if mark is None else _mark(mark),
        )
        with _converted_errors():
            await self._call.write(message)

    @override
    async def acknowledged(self, size: int) -> Seen:
        with _converted_errors():
            while (answer := await self._call.read()) is not grpc.aio.EOF:
                if answer.persisted_size >= size:
                    return _seen(answer)
        raise AssertionError("the stream ended")

    @override
    async def finish(self, size: int, sha256: str = "", reason: str = "", **extra: Any) -> Seen:
        finish = pb.AppendUploadRequest.Finish(size_bytes=size, sha256=sha256, end_reason=reason)
        for key, value in extra.items():
            finish.extra.fields[key].CopyFrom(to_value(value))
        with _converted_errors():
            last = pb.AppendUploadResponse()
            if not self._has_ended:  # grpc.aio loses the status of a call that ends while it sends
                await self._call.write(pb.AppendUploadRequest(finish=finish))
                await self._call.done_writing()
            while (answer := await self._call.read()) is not grpc.aio.EOF:
                last = answer
            assert await self._call.code() is grpc.StatusCode.OK
        return _seen(last, last.media if last.HasField("media") else None)

    @override
    async def vanish(self) -> None:
        self._call.cancel()


class _GrpcDriver(RecordingDriver):
    def __init__(self, live: Live) -> None:
        self._account_id = live.tenant.account_id
        self._metadata = live.tenant.metadata
        self._stub: Any = UploadServiceStub(live.channel)
        self._media: Any = MediaServiceStub(live.channel)

    @override
    async def open(self, upload_id: str, spec: UploadSpec = SPEC) -> tuple[RecordingStream, Seen]:
        header = pb.AppendUploadRequest.Header(
            account_id=self._account_id, upload_id=upload_id, spec=_spec(spec)
        )
        call = self._stub.AppendUpload(metadata=self._metadata)
        with _converted_errors():
            await call.write(pb.AppendUploadRequest(header=header))
            first = await call.read()
        return _GrpcStream(call, first), _seen(first)

    async def _call(self, method: str, **fields: Any) -> Any:
        request = getattr(pb, f"{method}Request")(account_id=self._account_id, **fields)
        with _converted_errors():
            return await getattr(self._stub, method)(request, metadata=self._metadata)

    @override
    async def get(self, upload_id: str) -> Seen:
        return _seen((await self._call("GetUpload", upload_id=upload_id)).upload)

    @override
    async def list(self) -> dict[str, str]:
        found: dict[str, str] = {}
        token = ""
        while True:
            page = await self._call("ListUploads", page_size=2, page_token=token)
            found |= {each.upload_id: _state(each.state) for each in page.uploads}
            if not (token := page.next_page_token):
                return found

    @override
    async def pause(self, upload_id: str, mode: PauseMode) -> Seen:
        answer = await self._call("PauseUpload", upload_id=upload_id, mode=_MODES[mode])
        return _seen(answer.upload)

    @override
    async def resume(self, upload_id: str) -> Seen:
        return _seen((await self._call("ResumeUpload", upload_id=upload_id)).upload)

    @override
    async def end(self, upload_id: str, *, keep: bool) -> Seen:
        end = pb.FinishUploadRequest.END_KEEP if keep else pb.FinishUploadRequest.END_DISCARD
        answer = await self._call("FinishUpload", upload_id=upload_id, end=end)
        return _seen(answer.upload, answer.media if answer.HasField("media") else None)

    @override
    async def tail(self, upload_id: str, offset: int = 0) -> AsyncIterator[bytes]:
        request = pb.TailUploadRequest(
            account_id=self._account_id, upload_id=upload_id, offset_bytes=offset
        )
        with _converted_errors():
            call = self._stub.TailUpload(request, metadata=self._metadata)
            async for message in call:
                if not message.HasField("header"):
                    yield message.data

    @override
    async def original(self, media_id: str) -> bytes:
        request = DownloadContentRequest(
            account_id=self._account_id, media_id=media_id, rendition=RENDITION_KIND_ORIGINAL
        )
        call = self._media.DownloadContent(request, metadata=self._metadata)
        return b"".join([message.data async for message in call])

    @override
    async def document(self, media_id: str) -> Mapping[str, Any]:
        request = GetMediaRequest(account_id=self._account_id, media_id=media_id)
        media = (await self._media.GetMedia(request, metadata=self._metadata)).media
        known = {field.name: value for field, value in media.ListFields()}
        known.pop("extra", None)
        known["media_source"] = {1: "recording"}.get(media.media_source)
        known["duration_ms"] = media.renditions[-1].duration_ms
        return {**known, **MessageToDict(media.extra)}


class TestRecordingsOverGrpc(RecordingPromises):
    @pytest.fixture
    async def driver(self, live: Live) -> RecordingDriver:
        return _GrpcDriver(live)


async def test_raw_audio_of_an_unknown_encoding_is_refused(live: Live) -> None:
    spec = _spec(SPEC)
    spec.raw.ClearField("encoding")
    header = pb.AppendUploadRequest.Header(
        account_id=live.tenant.account_id, upload_id="call", spec=spec
    )
    stub: Any = UploadServiceStub(live.channel)
    call = stub.AppendUpload(metadata=live.tenant.metadata)
    await call.write(pb.AppendUploadRequest(header=header))
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        await _read_to_the_end(call)
    assert refusal.fields == ["spec.raw.encoding"]


async def test_calls_of_a_recorder_who_is_not_permitted_are_refused(live: Live) -> None:
    stranger = await live.service.tenant()
    stub: Any = UploadServiceStub(live.channel)
    request = pb.GetUploadRequest(account_id=live.tenant.account_id, upload_id="call")
    with refused("PERMISSION_DENIED", "FORBIDDEN"):
        await stub.GetUpload(request, metadata=stranger.metadata)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [pb.AppendUploadRequest(data=b"a")],
        ["header", "header"],
        ["header", pb.AppendUploadRequest(finish=pb.AppendUploadRequest.Finish()), "data"],
    ],
    ids=["none", "no header", "two headers", "data after finish"],
)
async def test_messages_in_another_order_are_refused(live: Live, messages: Any) -> None:
    header = pb.AppendUploadRequest.Header(
        account_id=live.tenant.account_id, upload_id="call", spec=_spec(SPEC)
    )
    known = {
        "header": pb.AppendUploadRequest(header=header),
        "data": pb.AppendUploadRequest(data=b"a"),
    }
    stub: Any = UploadServiceStub(live.channel)
    call = stub.AppendUpload(metadata=live.tenant.metadata)
    for message in messages:
        await call.write(known[message] if isinstance(message, str) else message)
    await call.done_writing()
    with refused("INVALID_ARGUMENT", "BAD_REQUEST"):
        await _read_to_the_end(call)


async def _read_to_the_end(call: Any) -> None:
    async for _ in call:
        pass
