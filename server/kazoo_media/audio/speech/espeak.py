"""Speech by espeak-ng: embedded, every language of Kazoo's schema."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path

from typing_extensions import override

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.speech.program import SpeechProgram
from kazoo_media.audio.speech.provider import SpeechProvider, Voice, invalid_voice
from kazoo_media.errors import SpeechFailedError

# Not en-gb and fr-fr: their +f3 is a man, without a word. Not cmn: 1.51 spells Chinese in English.
_VOICES = {
    "en-us": "en-us",
    "en-ca": "en-us",
    "en-au": "en-gb-x-rp",
    "en-gb": "en-gb-x-rp",
    "es-us": "es-419",
    "es-es": "es",
    "fr-ca": "fr",
    "fr-fr": "fr",
    "zh-cn": "cmn-latn-pinyin",
    "zh-hk": "yue",
    "zh-tw": "cmn-latn-pinyin",
    "ja-jp": "ja",
    "ko-kr": "ko",
    "da-dk": "da",
    "de-de": "de",
    "fi-fi": "fi",
    "it-it": "it",
    "nb-no": "nb",
    "nl-nl": "nl",
    "pl-pl": "pl",
    "pt-br": "pt-br",
    "pt-pt": "pt",
    "ru-ru": "ru",
    "sv-se": "sv",
    "hu-hu": "hu",
    "cs-cz": "cs",
    "tr-tr": "tr",
    "ca-es": "ca",
}
_FEMALE = "+f3"
_KANJI = re.compile("[\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_UTF_8 = ("-b", "1")
# Whatever it is told, it first asks for a sound server, with shared memory that counts as a file.
_LIMITS = ConversionLimits(spool_bytes=64 * 1024 * 1024)


class Espeak(SpeechProvider):
    """Formant synthesis: robotic, intelligible, a hundredth of a second for a sentence."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        base = _VOICES.get(voice.locale)
        if base is None:
            raise invalid_voice("espeak", voice.name)
        kanji = _KANJI.search(text) if base == "ja" else None
        if kanji:
            message = f"espeak can not read the kanji {kanji[0]!r}: write Japanese in kana"
            raise SpeechFailedError(message)
        name = base + _FEMALE if voice.is_female else base
        argv = ("espeak-ng", *_UTF_8, "-v", name, "--stdin", "--stdout")
        program = SpeechProgram("espeak", argv, _LIMITS, self._folder)
        return program.speak(text)
