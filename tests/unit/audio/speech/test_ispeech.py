"""Speech by iSpeech's HTTP API, against a server that speaks its protocol."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from kazoo_media.audio.speech.ispeech import ISpeech, ISpeechOptions
from kazoo_media.errors import SpeechFailedError
from tests.support.ispeech_server import ISpeechServer, ispeech_server


@pytest.fixture
def provider() -> Iterator[ISpeechServer]:
    with ispeech_server() as server:
        yield server


async def _spoken(url: str, voice: str = "female/en-US") -> bytes:
    ispeech = ISpeech(ISpeechOptions(url, "the key", speed=2, start_padding=1, end_padding=0))
    found = ispeech.find(voice)
    assert found is not None
    async with aclosing(ispeech.speak("Hello", found)) as speech:
        return b"".join([chunk async for chunk in speech])


async def test_it_is_asked_as_kazoo_asks(provider: ISpeechServer) -> None:
    assert await _spoken(provider.url, "FEMALE/en-us") == provider.body
    assert provider.asked == [
        {
            "text": "Hello",
            "voice": "usenglishfemale",
            "format": "wav",
            "action": "convert",
            "apikey": "the key",
            "speed": 2,
            "startpadding": 1,
            "endpadding": 0,
        }
    ]


@pytest.mark.parametrize(
    ("status", "content_type", "body", "message"),
    [
        (403, "text/plain", b"invalid api key\n", "invalid api key"),
        (200, "text/plain", b"result=error&code=1", "result=error&code=1"),
        (200, "application/json", b'{"result":"error"}', '{"result":"error"}'),
        (503, "audio/x-wav", b"", "ispeech answered with HTTP status 503"),
        (301, "text/plain", b"", "ispeech answered with HTTP status 301"),
        (500, "text/plain", b"x" * 100_000, "x" * 200),
    ],
)
async def test_what_it_says_instead_of_speaking_is_the_reason(
    provider: ISpeechServer, status: int, content_type: str, body: bytes, message: str
) -> None:
    provider.status, provider.content_type, provider.body = status, content_type, body
    with pytest.raises(SpeechFailedError) as caught:
        await _spoken(provider.url)
    assert caught.value.kazoo_message == message


async def test_an_answer_that_is_cut_is_a_failure(provider: ISpeechServer) -> None:
    provider.is_cut = True
    with pytest.raises(SpeechFailedError, match="unexpected error"):
        await _spoken(provider.url)


async def test_a_redirection_is_not_followed(provider: ISpeechServer) -> None:
    provider.status, provider.body = 307, b"moved"
    provider.headers["location"] = provider.url
    with pytest.raises(SpeechFailedError, match="moved"):
        await _spoken(provider.url)
    assert len(provider.asked) == 1


@pytest.mark.parametrize(("limit", "silent_s"), [("_TIMEOUT_S", 1.0), ("_LONGEST_S", 0.05)])
async def test_a_provider_that_is_too_slow_is_given_up(
    provider: ISpeechServer, monkeypatch: pytest.MonkeyPatch, limit: str, silent_s: float
) -> None:
    monkeypatch.setattr(f"kazoo_media.audio.speech.ispeech.{limit}", 0.2)
    provider.silent_s, provider.body = silent_s, bytes(2_000)
    with pytest.raises(SpeechFailedError) as caught:
        await _spoken(provider.url)
    assert caught.value.kazoo_message == "unexpected error encountered accessing provider"


async def test_a_slow_complaint_has_an_end_too(
    provider: ISpeechServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kazoo_media.audio.speech.ispeech._LONGEST_S", 0.2)
    provider.status, provider.silent_s, provider.body = 500, 0.05, bytes(1_900)
    with pytest.raises(SpeechFailedError, match="unexpected error"):
        await _spoken(provider.url)


async def test_a_compressed_answer_is_not_unpacked(provider: ISpeechServer) -> None:
    provider.body = gzip.compress(bytes(50_000_000))
    provider.headers["content-encoding"] = "gzip"
    assert await _spoken(provider.url) == provider.body


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://a b/", "https://127.0.0.1:1/"])
async def test_a_provider_that_can_not_be_reached_is_reported_in_kazoos_words(url: str) -> None:
    with pytest.raises(SpeechFailedError) as caught:
        await _spoken(url)
    assert caught.value.kazoo_message == "unexpected error encountered accessing provider"


def test_it_has_the_voices_that_kazoo_asks_it_for() -> None:
    names = {voice.name: voice.engine_voice for voice in ISpeech.voices}
    assert len(names) == 42
    assert names["male/pt-PT"] == "eurportuguesemale"
    assert "male/en-AU" not in names


async def test_without_its_extra_the_error_names_it(
    provider: ISpeechServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(SpeechFailedError, match=r"pip install 'kazoo-media\[ispeech\]'"):
        await _spoken(provider.url)
    assert provider.asked == []
