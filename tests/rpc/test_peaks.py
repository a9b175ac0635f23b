"""GetPeaks: the waveform of a rendition."""

from __future__ import annotations

from typing import Any

import pytest

from kazoo_media.v1.media_pb2 import RENDITION_KIND_NORMALIZED
from kazoo_media.v1.media_service_pb2 import GetPeaksRequest, GetPeaksResponse
from tests.rpc.media_client import Client
from tests.rpc.service import refused
from tests.support.audio_samples import tone

_CREST = round(127 * 2**0.5 * 10 ** (-9 / 20))


async def _peaks(client: Client, **fields: Any) -> GetPeaksResponse:
    request = GetPeaksRequest(account_id=client.tenant.account_id, media_id="m", **fields)
    found: GetPeaksResponse = await client.stub.GetPeaks(request, metadata=client.tenant.metadata)
    return found


async def test_they_span_the_audio_in_800_stretches_or_as_many_as_are_asked_for(
    client: Client,
) -> None:
    await client.upload(tone(2.0, rate=16_000, level_db=-9.0))
    whole = await _peaks(client)
    assert (whole.sample_rate_hertz, whole.samples_per_bucket) == (16_000, 40)
    assert len(whole.data) == 1600
    few = await _peaks(client, bucket_count=10)
    assert few.samples_per_bucket == 3200
    assert list(few.data) == pytest.approx([-_CREST, _CREST] * 10, abs=2)


async def test_what_can_not_be_answered_is_refused(client: Client) -> None:
    with refused("NOT_FOUND", "CONTENT_NOT_FOUND"):
        await _peaks(client)
    await client.upload(tone(0.1))
    with refused("INVALID_ARGUMENT", "VALIDATION"):
        await _peaks(client, bucket_count=20_001)
    with refused("FAILED_PRECONDITION", "NOT_ACCEPTABLE"):
        await _peaks(client, rendition=RENDITION_KIND_NORMALIZED)
    await client.upload(b"\xff\xf3" + bytes(range(256)) * 8, content_type="audio/mpeg")
    with refused("FAILED_PRECONDITION", "NO_PEAKS"):
        await _peaks(client)
