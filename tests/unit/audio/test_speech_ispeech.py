"""Speech by iSpeech's HTTP API, against a server that speaks its protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kazoo_media.audio.speech.ispeech import ISpeech, ISpeechOptions
from kazoo_media.errors import SpeechFailedError


@dataclass
class _Provider:
    """What it was asked, and what it answers.

    Attributes:
        is_cut: It leaves in the middle of its answer.
    """

    asked: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    content_type: str = "audio/x-wav"
    body: bytes = b"RIFF" + bytes(300_000)
    is_cut: bool = False
    url: str = ""


@pytest.fixture
def provider() -> Iterator[_Provider]:
    state = _Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            state.asked.append(json.loads(self.rfile.read(length)))
            assert self.headers["content-type"] == "application/json"
            self.send_response(state.status)
            self.send_header("content-type", state.content_type)
            self.send_header("content-length", str(len(state.body) + state.is_cut))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}/api/json"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield state
        server.shutdown()


async def _spoken(url: str, voice: str = "female/en-US") -> bytes:
    ispeech = ISpeech(ISpeechOptions(url, "the key", speed=2, start_padding=1, end_padding=0))
    found = ispeech.find(voice)
    assert found is not None
    async with aclosing(ispeech.speak("Hello", found)) as speech:
        return b"".join([chunk async for chunk in speech])


async def test_it_is_asked_as_kazoo_asks(provider: _Provider) -> None:
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
        (503, "audio/x-wav", b"", "ispeech answered 503"),
        (301, "text/plain", b"", "ispeech answered 301"),
        (500, "text/plain", b"x" * 100_000, "x" * 200),
    ],
)
async def test_what_it_says_instead_of_speaking_is_the_reason(
    provider: _Provider, status: int, content_type: str, body: bytes, message: str
) -> None:
    provider.status, provider.content_type, provider.body = status, content_type, body
    with pytest.raises(SpeechFailedError) as caught:
        await _spoken(provider.url)
    assert caught.value.kazoo_message == message


async def test_an_answer_that_is_cut_is_a_failure(provider: _Provider) -> None:
    provider.is_cut = True
    with pytest.raises(SpeechFailedError, match="unexpected error"):
        await _spoken(provider.url)


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
