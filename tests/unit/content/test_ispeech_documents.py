"""Documents that iSpeech speaks: a server of its protocol in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kazoo_media.access.accounts import AdminScope, WriteScope
from kazoo_media.errors import MediaNotFoundError, SpeechFailedError
from tests.support.audio_samples import tone
from tests.support.core_fixtures import CoreUnderTest, make_core
from tests.support.ispeech_server import ISpeechServer, ispeech_server

_SCOPE = WriteScope("a" * 32)


@pytest.fixture
def provider() -> Iterator[ISpeechServer]:
    with ispeech_server() as server:
        yield server


@pytest.fixture
async def tested(provider: ISpeechServer) -> CoreUnderTest:
    tested = await make_core()
    settings: dict[str, Any] = {"tts_provider": "ispeech", "tts_url_ispeech": provider.url}
    for key, value in settings.items():
        await tested.core.settings.put(AdminScope(), "speech", key, value, node=None)
    return tested


async def _create(tested: CoreUnderTest) -> dict[str, Any]:
    tts = {"text": "Hello", "voice": "female/en-US"}
    data = {"name": "n", "media_source": "tts", "tts": tts}
    return dict((await tested.core.library.create(_SCOPE, data, "x")).document)


async def _assert_no_trace(tested: CoreUnderTest) -> None:
    with pytest.raises(MediaNotFoundError):
        await tested.core.library.get(_SCOPE, "x")
    assert [blob async for blob in tested.blobs.list()] == []


async def test_what_it_says_is_the_audio(tested: CoreUnderTest, provider: ISpeechServer) -> None:
    provider.body = tone(0.5)
    document = await _create(tested)
    assert (document["duration_ms"], document["content_length"]) == (500, len(provider.body))
    await tested.core.library.patch(_SCOPE, "x", {"name": "m", "tts": {"text": "Hello"}})
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "produced no audio"),
        (b"\0" * 5000, "not answer with audio"),
        (b"\x1f\x8b\x08\0" * 999, "not answer with audio"),
    ],
)
async def test_what_is_no_audio_leaves_no_trace(
    tested: CoreUnderTest, provider: ISpeechServer, body: bytes, reason: str
) -> None:
    provider.body = body
    with pytest.raises(SpeechFailedError, match=f"ispeech .*{reason}"):
        await _create(tested)
    await _assert_no_trace(tested)


async def test_an_answer_without_end_ends_at_the_size_limit(
    tested: CoreUnderTest, provider: ISpeechServer
) -> None:
    await tested.core.settings.put(
        AdminScope(), "crossbar", "max_upload_size", 2_000_000, node=None
    )
    provider.body, provider.count = tone(30), 1_000  # half a gigabyte
    with pytest.raises(SpeechFailedError, match="ispeech produced too much audio"):
        await _create(tested)
    await _assert_no_trace(tested)
