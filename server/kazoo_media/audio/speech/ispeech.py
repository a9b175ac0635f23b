"""Speech by the HTTP API of iSpeech, as Kazoo asks it.

Source: Kazoo kazoo_tts_ispeech.erl, for the request and the voices.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import httpx
from typing_extensions import override

from kazoo_media.audio.speech.provider import SpeechProvider, Voice, invalid_voice
from kazoo_media.errors import SpeechFailedError

_VOICES: Mapping[str, str] = {
    "female/en-us": "usenglishfemale",
    "male/en-us": "usenglishmale",
    "female/en-ca": "caenglishfemale",
    "female/en-au": "auenglishfemale",
    "female/en-gb": "ukenglishfemale",
    "male/en-gb": "ukenglishmale",
    "female/es-us": "usspanishfemale",
    "male/es-us": "usspanishmale",
    "female/zh-cn": "chchinesefemale",
    "male/zh-cn": "chchinesemale",
    "female/zh-hk": "hkchinesefemale",
    "female/zh-tw": "twchinesefemale",
    "female/ja-jp": "jpjapanesefemale",
    "male/ja-jp": "jpjapanesemale",
    "female/ko-kr": "krkoreanfemale",
    "male/ko-kr": "krkoreanmale",
    "female/da-dk": "eurdanishfemale",
    "female/de-de": "eurgermanfemale",
    "male/de-de": "eurgermanmale",
    "female/ca-es": "eurcatalanfemale",
    "female/es-es": "eurspanishfemale",
    "male/es-es": "eurspanishmale",
    "female/fi-fi": "eurfinnishfemale",
    "female/fr-ca": "cafrenchfemale",
    "male/fr-ca": "cafrenchmale",
    "female/fr-fr": "eurfrenchfemale",
    "male/fr-fr": "eurfrenchmale",
    "female/it-it": "euritalianfemale",
    "male/it-it": "euritalianmale",
    "female/nb-no": "eurnorwegianfemale",
    "female/nl-nl": "eurdutchfemale",
    "female/pl-pl": "eurpolishfemale",
    "female/pt-br": "brportuguesefemale",
    "female/pt-pt": "eurportuguesefemale",
    "male/pt-pt": "eurportuguesemale",
    "female/ru-ru": "rurussianfemale",
    "male/ru-ru": "rurussianmale",
    "female/sv-se": "swswedishfemale",
    "female/hu-hu": "huhungarianfemale",
    "female/cs-cz": "eurczechfemale",
    "female/tr-tr": "eurturkishfemale",
    "male/tr-tr": "eurturkishmale",
}
_TIMEOUT_S = 30.0
_REASON_BYTES = 2000
_REASON_CHARACTERS = 200
_UNREACHABLE = "unexpected error encountered accessing provider"  # Kazoo's text


@dataclass(frozen=True, slots=True)
class ISpeechOptions:
    """How to ask.

    Attributes:
        start_padding: Silence before the speech, seconds; `end_padding` likewise.
        speed: -10 to 10.
    """

    url: str
    api_key: str
    speed: int
    start_padding: int
    end_padding: int


class ISpeech(SpeechProvider):
    """An account at iSpeech, or at what speaks its protocol."""

    def __init__(self, options: ISpeechOptions) -> None:
        self._options = options

    @override
    def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        name = _VOICES.get(voice.key)
        if name is None:
            raise invalid_voice("ispeech", voice.name)
        options = self._options
        return _answer(
            options.url,
            {
                "text": text,
                "voice": name,
                "format": "wav",
                "action": "convert",
                "apikey": options.api_key,
                "speed": options.speed,
                "startpadding": options.start_padding,
                "endpadding": options.end_padding,
            },
        )


async def _answer(url: str, question: Mapping[str, object]) -> AsyncGenerator[bytes, None]:
    # Reading the certificates takes a while: not on the loop.
    trusted = await asyncio.to_thread(httpx.create_ssl_context, trust_env=False)
    try:
        async with (
            httpx.AsyncClient(verify=trusted, trust_env=False, timeout=_TIMEOUT_S) as client,
            client.stream("POST", url, json=question) as response,
        ):
            await _check(response)
            async for chunk in response.aiter_bytes():
                yield chunk
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SpeechFailedError(_UNREACHABLE) from error


async def _check(response: httpx.Response) -> None:
    """Raise what the provider says instead of speaking."""
    kind = response.headers.get("content-type", "")
    if response.status_code == httpx.codes.OK and not kind.startswith(
        ("text/", "application/json")
    ):
        return
    told = b""
    async for chunk in response.aiter_bytes():
        told += chunk
        if len(told) >= _REASON_BYTES:
            break
    reason = told[:_REASON_BYTES].decode("utf-8", "replace").strip()[:_REASON_CHARACTERS]
    raise SpeechFailedError(reason or f"ispeech answered {response.status_code}")
