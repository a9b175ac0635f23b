from __future__ import annotations

from typing import Any

import grpc
import pytest

from kazoo_media.client import MediaServiceError, appending
from kazoo_media.client.channels import Channels
from kazoo_media.v1.upload_service_pb2 import AppendUploadRequest, AppendUploadResponse


def ended(code: grpc.StatusCode, reason: str) -> MediaServiceError:
    return MediaServiceError(code, reason, "for this reason")


TAKEN_OVER = ended(grpc.StatusCode.ABORTED, "TAKEN_OVER")
LOST_HEADER = TimeoutError()
CUT = ended(grpc.StatusCode.UNAVAILABLE, "")
DRAINING = ended(grpc.StatusCode.UNAVAILABLE, "DRAINING")
PROXY = ended(grpc.StatusCode.UNIMPLEMENTED, "")
FULL = ended(grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL")


@pytest.mark.parametrize(
    "ends",
    [
        [DRAINING, FULL, PROXY],
        [CUT, DRAINING, LOST_HEADER, TAKEN_OVER],
    ],
)
async def test_a_recorder_comes_back(monkeypatch: pytest.MonkeyPatch, ends: list[Any]) -> None:
    assert await _append(monkeypatch, ends) == AppendUploadResponse(persisted_size=7)


@pytest.mark.parametrize(
    "ends",
    [
        [TAKEN_OVER],
        [DRAINING, TAKEN_OVER],
        [CUT, TAKEN_OVER],
        [LOST_HEADER, TAKEN_OVER, TAKEN_OVER],
        [ended(grpc.StatusCode.ALREADY_EXISTS, "SPEC_MISMATCH")],
    ],
)
async def test_a_recorder_stops(monkeypatch: pytest.MonkeyPatch, ends: list[Any]) -> None:
    with pytest.raises(MediaServiceError) as caught:
        await _append(monkeypatch, [*ends, CUT])
    assert caught.value is ends[-1]


async def _append(monkeypatch: pytest.MonkeyPatch, ends: list[Any]) -> AppendUploadResponse:
    """Append with streams that end like this, and after them with one that succeeds."""
    following = iter(ends)

    async def run(stream: appending._Stream, *arguments: Any) -> AppendUploadResponse:
        end = next(following, None)
        stream.is_header_lost = end is LOST_HEADER
        if end is not None:
            raise end
        return AppendUploadResponse(persisted_size=7)

    async def open_channel() -> Any:
        return None

    monkeypatch.setattr(appending._Stream, "run", run)
    monkeypatch.setattr(appending, "_LONGEST_PAUSE_S", 0.0)
    monkeypatch.setattr(appending, "_FIRST_PAUSE_S", 0.0)
    nothing: Any = None
    header = AppendUploadRequest.Header()
    return await appending.append_all(nothing, Channels(open_channel), header, nothing)
