"""Text-to-speech by the HTTP API of iSpeech.

Source: Kazoo kazoo_tts_ispeech.erl, for the request and the voices.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from kazoo_media.audio.speech.provider import SpeechProvider, Voice
from kazoo_media.errors import SpeechFailedError

if TYPE_CHECKING:
    import ssl

    import httpx

_VOICES: Mapping[str, str] = {
    "female/en-US": "usenglishfemale",
    "male/en-US": "usenglishmale",
    "female/en-CA": "caenglishfemale",
    "female/en-AU": "auenglishfemale",
    "female/en-GB": "ukenglishfemale",
    "male/en-GB": "ukenglishmale",
    "female/es-US": "usspanishfemale",
    "male/es-US": "usspanishmale",
    "female/es-ES": "eurspanishfemale",
    "male/es-ES": "eurspanishmale",
    "female/fr-CA": "cafrenchfemale",
    "male/fr-CA": "cafrenchmale",
    "female/fr-FR": "eurfrenchfemale",
    "male/fr-FR": "eurfrenchmale",
    "female/zh-CN": "chchinesefemale",
    "male/zh-CN": "chchinesemale",
    "female/zh-HK": "hkchinesefemale",
    "female/zh-TW": "twchinesefemale",
    "female/ja-JP": "jpjapanesefemale",
    "male/ja-JP": "jpjapanesemale",
    "female/ko-KR": "krkoreanfemale",
    "male/ko-KR": "krkoreanmale",
    "female/da-DK": "eurdanishfemale",
    "female/de-DE": "eurgermanfemale",
    "male/de-DE": "eurgermanmale",
    "female/fi-FI": "eurfinnishfemale",
    "female/it-IT": "euritalianfemale",
    "male/it-IT": "euritalianmale",
    "female/nb-NO": "eurnorwegianfemale",
    "female/nl-NL": "eurdutchfemale",
    "female/pl-PL": "eurpolishfemale",
    "female/pt-BR": "brportuguesefemale",
    "female/pt-PT": "eurportuguesefemale",
    "male/pt-PT": "eurportuguesemale",
    "female/ru-RU": "rurussianfemale",
    "male/ru-RU": "rurussianmale",
    "female/sv-SE": "swswedishfemale",
    "female/hu-HU": "huhungarianfemale",
    "female/cs-CZ": "eurczechfemale",
    "female/tr-TR": "eurturkishfemale",
    "male/tr-TR": "eurturkishmale",
    "female/ca-ES": "eurcatalanfemale",
}
_TIMEOUT_S = 30.0
_LONGEST_S = 300.0
"""Limits the whole answer: a server that sends a byte at a time never reaches the timeout."""
_REASON_BYTES = 2000
_REASON_CHARACTERS = 200
_HEADERS = {"accept-encoding": "identity"}
_UNREACHABLE = "unexpected error encountered accessing provider"  # Kazoo's text
_MISSING = "the provider ispeech needs httpx on the server: pip install 'kazoo-media[ispeech]'"


@dataclass(frozen=True, slots=True)
class ISpeechOptions:
    """The options of requests.

    Attributes:
        speed: -10 to 10.
        start_padding: Silence before the speech, in seconds.
        end_padding: Silence after the speech, in seconds.
    """

    url: str
    api_key: str
    speed: int
    start_padding: int
    end_padding: int


class ISpeech(SpeechProvider):
    """An account at iSpeech, or at a service with the same protocol."""

    title = "ispeech"
    voices = tuple(Voice(*each) for each in _VOICES.items())

    def __init__(self, options: ISpeechOptions) -> None:
        self._options = options

    @override
    def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        options = self._options
        return _answer(
            options.url,
            {
                "text": text,
                "voice": voice.engine_voice,
                "format": "wav",
                "action": "convert",
                "apikey": options.api_key,
                "speed": options.speed,
                "startpadding": options.start_padding,
                "endpadding": options.end_padding,
            },
        )


async def _answer(url: str, query: Mapping[str, object]) -> AsyncGenerator[bytes, None]:
    # The import and reading the CA certificates would block the event loop.
    trusted = await asyncio.to_thread(_trusted)
    import httpx  # noqa: PLC0415 - imported already

    try:
        async with (
            httpx.AsyncClient(verify=trusted, trust_env=False, timeout=_TIMEOUT_S) as client,
            client.stream("POST", url, json=query, headers=_HEADERS) as response,
            aclosing(_chunks(response)) as chunks,
        ):
            await _check(response, chunks)
            async for chunk in chunks:
                yield chunk
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise SpeechFailedError(_UNREACHABLE) from error


def _trusted() -> ssl.SSLContext:
    """Return the certificates to trust, with httpx imported.

    Raises:
        SpeechFailedError: the package extra [ispeech] is not installed.
    """
    try:
        import httpx  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise SpeechFailedError(_MISSING) from error
    return httpx.create_ssl_context(trust_env=False)


async def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield the body without decompressing it, so that a few bytes cannot become gigabytes."""
    end_s = asyncio.get_running_loop().time() + _LONGEST_S
    chunks = response.aiter_raw()
    while True:
        async with asyncio.timeout_at(end_s):
            chunk = await anext(chunks, b"")
        if not chunk:
            return
        yield chunk


async def _check(response: httpx.Response, chunks: AsyncIterator[bytes]) -> None:
    """Raise the error that the provider sent instead of audio."""
    kind = response.headers.get("content-type", "")
    if response.status_code == http.HTTPStatus.OK and not kind.startswith(
        ("text/", "application/json")
    ):
        return
    text = b""
    async for chunk in chunks:
        text += chunk
        if len(text) >= _REASON_BYTES:
            break
    reason = text[:_REASON_BYTES].decode("utf-8", "replace").strip()[:_REASON_CHARACTERS]
    raise SpeechFailedError(reason or f"ispeech answered with HTTP status {response.status_code}")
