"""Text-to-speech by espeak-ng, a local program with all languages of Kazoo's schema."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

from typing_extensions import override

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.running.program import Program
from kazoo_media.audio.speech.program import SpeechProgram
from kazoo_media.audio.speech.provider import SpeechProvider, Voice
from kazoo_media.errors import SpeechFailedError

# Not en-gb and fr-fr: with +f3 they speak with a man's voice and report no error. Not cmn: version
# 1.51 reads Chinese as English letters; with cmn-latn-pinyin all versions read it alike.
_BASES = {
    "en-US": "en-us",
    "en-CA": "en-us",
    "en-AU": "en-gb-x-rp",
    "en-GB": "en-gb-x-rp",
    "es-US": "es-419",
    "es-ES": "es",
    "fr-CA": "fr",
    "fr-FR": "fr",
    "zh-CN": "cmn-latn-pinyin",
    "zh-HK": "yue",
    "zh-TW": "cmn-latn-pinyin",
    "ja-JP": "ja",
    "ko-KR": "ko",
    "da-DK": "da",
    "de-DE": "de",
    "fi-FI": "fi",
    "it-IT": "it",
    "nb-NO": "nb",
    "nl-NL": "nl",
    "pl-PL": "pl",
    "pt-BR": "pt-br",
    "pt-PT": "pt",
    "ru-RU": "ru",
    "sv-SE": "sv",
    "hu-HU": "hu",
    "cs-CZ": "cs",
    "tr-TR": "tr",
    "ca-ES": "ca",
}
_GENDERS = {"female": "+f3", "male": ""}
_KANJI = re.compile("[\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
# espeak-ng reads the text after [[ as phonemes.
_PHONEMES = re.compile(r"\[(?=\[)")
_UTF_8 = ("-b", "1")
# espeak-ng always looks for a sound server first; its shared memory counts as a file.
_LIMITS = ConversionLimits(spool_bytes=64 * 1024 * 1024)


class Espeak(SpeechProvider):
    """Formant synthesis: robotic but intelligible, and fast: 10 ms for a sentence."""

    title = "espeak"
    voices = tuple(
        Voice(f"{gender}/{locale}", base + variant)
        for locale, base in _BASES.items()
        for gender, variant in _GENDERS.items()
    )

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement

    @override
    def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        kanji = _KANJI.search(text) if voice.locale == "ja-JP" else None
        if kanji:
            message = f"espeak cannot read the kanji {kanji[0]!r}: write Japanese text in kana"
            raise SpeechFailedError(message)
        argv = ("espeak-ng", *_UTF_8, "-v", voice.engine_voice, "--stdin", "--stdout")
        program = Program(argv, _LIMITS, _LIMITS.spool_bytes)
        speech = SpeechProgram(self.title, program, self._confinement)
        return speech.speak(_PHONEMES.sub("[ ", text))
