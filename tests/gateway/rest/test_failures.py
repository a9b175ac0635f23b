"""kazoo-v2, section 8: audio that can not be normalized is kept and served, and the document says
why, until the next good upload.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import ask, create, upload
from tests.support.audio_samples import encoded, measure, noise, tone, with_data_size
from tests.unit.audio.convert import damage
from tests.unit.audio.inspect.made_containers import in_container

pytestmark = pytest.mark.gateway


@pytest.fixture(autouse=True)
def _normalizing(rest: Rest) -> Iterator[None]:
    rest.put_setting("crossbar.media", "normalize_media", value=True)
    yield
    rest.put_setting("crossbar.media", "normalize_media", value=None)


_BROKEN: dict[str, tuple[bytes, str, str]] = {
    "cut WAV": (noise(5.0)[:40_000], "audio/x-wav", "is shorter than its header says"),
    "2 kB that claim 40,000 s": (damage.CLAIMING, "audio/x-wav", "is shorter than its header says"),
    "WAV of 1 Hz": (damage.wav_with(tone(), rate=1), "audio/x-wav", "sample rate of 1 Hz"),
    "mp3 with a gap": (damage.zeroed(damage.NOISE_MP3, 0.4, 0.6), "audio/mpeg", "came out of 5.2"),
    "cut Ogg": (damage.cut(damage.NOISE_OGG, 0.5), "audio/ogg", "is shorter than its header says"),
    "cut FLAC": (damage.cut(damage.NOISE_FLAC, 0.5), "audio/flac", ""),
    "cut M4A": (damage.cut(in_container("m4a"), 0.5), "audio/mp4", "moov atom not found"),
    "cut WebM": (damage.cut(in_container("webm, live"), 0.5), "audio/webm", ""),
    "raw video": (b"\x00\x00\x00\x01\x67" + bytes(2000), "video/h264", "contains no audio"),
}


@pytest.mark.parametrize("name", _BROKEN)
def test_broken_audio_is_served_as_it_came_and_the_document_says_why(
    rest: Rest, tenant: Tenant, name: str
) -> None:
    data, content_type, reason = _BROKEN[name]
    media_id = create(rest, tenant)

    reply = upload(rest, tenant, media_id, data, content_type)

    error = reply.data["normalization_error"]
    assert error.startswith("failed to communicate with conversion utility: ")
    assert reason in error
    assert reply.data["content_type"] == content_type
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body == data
    mended = upload(rest, tenant, media_id, tone(), "audio/x-wav")
    assert "normalization_error" not in mended.data
    assert mended.data["content_type"] == "audio/mpeg"


@pytest.mark.parametrize(
    "audio",
    [with_data_size(noise(5.0), size) for size in (0, 2, 40_000, 0x7FFFF000, 0xFFFFFFFF)],
    ids=["0", "2", "half", "sox", "ffmpeg"],
)
def test_a_wav_is_normalized_to_its_end_whatever_it_declares(
    rest: Rest, tenant: Tenant, audio: bytes
) -> None:
    media_id = create(rest, tenant)

    reply = upload(rest, tenant, media_id, audio, "audio/x-wav")

    assert "normalization_error" not in reply.data
    served = ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body
    assert measure(served, "mp3").duration_s == pytest.approx(5.0, abs=0.2)
    original = ask(rest, tenant, f"GET {{M}}/{media_id}/raw?rendition=original").body
    assert original == audio


def test_a_bomb_ends_at_a_limit_while_others_go_on(rest: Rest, tenant: Tenant) -> None:
    bomb, mp3 = damage.silent_flac(36_000), encoded(tone(2.0), "mp3")
    media_ids = [create(rest, tenant) for _ in range(4)]

    def send(media_id: str) -> Reply:
        is_bomb = media_id == media_ids[0]
        data, content_type = (bomb, "audio/flac") if is_bomb else (mp3, "audio/mpeg")
        return upload(rest, tenant, media_id, data, content_type)

    rest.put_setting("crossbar.media", "normalization_format", "wav")
    try:
        with ThreadPoolExecutor(len(media_ids)) as threads:
            replies = list(threads.map(send, media_ids))
    finally:
        rest.put_setting("crossbar.media", "normalization_format", None)

    assert "it wrote more than is allowed" in replies[0].data["normalization_error"]
    for each in replies[1:]:
        assert each.data["content_type"] == "audio/x-wav"
        assert "normalization_error" not in each.data
