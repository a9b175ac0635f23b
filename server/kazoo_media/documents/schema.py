"""The keys of a document as one table, used for validation and for the JSON schema.

Source: Kazoo's schemas/media.json; kz_json_schema.erl for the texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kazoo_media.audio.formats import ACCEPTED_TYPES
from kazoo_media.audio.speech.espeak import Espeak
from kazoo_media.audio.speech.flite import Flite
from kazoo_media.audio.speech.ispeech import ISpeech
from kazoo_media.audio.speech.provider import LOCALES, VOICE_NAMES
from kazoo_media.documents.violations import not_listed, too_long, too_low, too_short, wrong_type
from kazoo_media.errors import Violation

MEDIA_SOURCES = ("recording", "upload", "tts")
DEFAULT_VOICE = "female/en-US"
_ENGINE_VOICES = {
    re.escape(voice.engine_voice)
    for provider in (Espeak, Flite, ISpeech)
    for voice in provider.voices
}
_KAZOO_VOICE = (
    r"(?:fe)?male/(?:" + "|".join(LOCALES) + r")(?:/\w+)?"
    r"|[a-z]{2,3}-[A-Z]{2}-(?:Standard|Wavenet)-[A-Z]"
)
_VOICE = f"(?i:{_KAZOO_VOICE}|{'|'.join(sorted(_ENGINE_VOICES))})"
_INTEGER = r"-?\d{1,18}"
_PATTERN_CHARACTERS = 1_000
"""No longer text fits a pattern; matching one would hold the interpreter's lock for long."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule for the value of one key.

    Attributes:
        kind: JSON type: string, boolean, integer or object.
        low: Minimum length of a string, minimum value of an integer.
        high: Maximum length of a string.
        permitted: The permitted values, or only examples of them if there is a `pattern`.
        pattern: Regular expression for the permitted values.
        default: None: there is no default.
        keys: The rules for the keys of an object.
    """

    kind: str
    about: str
    low: int | None = None
    high: int | None = None
    permitted: tuple[str, ...] = ()
    pattern: str = ""
    default: object = None
    keys: Mapping[str, Rule] = field(default_factory=dict)

    def read(self, value: object) -> object:
        """Return the value; convert a string that stands for an expected integer or boolean."""
        if not isinstance(value, str):
            return value
        if self.kind == "boolean" and value in {"true", "false"}:
            return value == "true"
        if self.kind == "integer" and re.fullmatch(_INTEGER, value):
            return int(value)
        return value

    def violations(self, name: str, value: object) -> Iterator[Violation]:
        """Yield the violations of a value that `read` returned; `name` is its dotted path."""
        if not _is_of(self.kind, value):
            yield wrong_type(name, self.kind, value)
        elif isinstance(value, str):
            yield from self._violations_of_text(name, value)
        elif isinstance(value, dict):
            for key, rule in self.keys.items():
                if key in value:
                    yield from rule.violations(f"{name}.{key}", value[key])
        elif isinstance(value, int) and self.low is not None and value < self.low:
            yield too_low(name, self.low, value)

    def _violations_of_text(self, name: str, value: str) -> Iterator[Violation]:
        if not self._permits(value):
            yield not_listed(name, self.permitted, value)
        if self.low is not None and len(value) < self.low:
            yield too_short(name, self.low, value)
        if self.high is not None and len(value) > self.high:
            yield too_long(name, self.high, value)

    def _permits(self, value: str) -> bool:
        if self.pattern:
            fits = len(value) <= _PATTERN_CHARACTERS
            return fits and re.fullmatch(self.pattern, value) is not None
        return not self.permitted or value in self.permitted

    @property
    def schema(self) -> dict[str, Any]:
        """Return the rule as a JSON schema of the stored value. Source: JSON Schema 2020-12."""
        limits = {
            "string": {"minLength": self.low, "maxLength": self.high},
            "integer": {"minimum": self.low},
        }.get(self.kind, {})
        schema = {"type": self.kind, "description": self.about, **limits, "default": self.default}
        if self.pattern:  # JSON Schema cannot express a pattern that ignores case
            schema["examples"] = list(self.permitted)
        elif self.permitted:
            schema["enum"] = list(self.permitted)
        if self.keys:
            schema["properties"] = {key: rule.schema for key, rule in self.keys.items()}
        return {key: value for key, value in schema.items() if value is not None}


RULES: Mapping[str, Rule] = {
    "name": Rule("string", "A friendly name for the media", 1, 128),
    "description": Rule("string", "A brief description, usually the original file name", 1, 128),
    "language": Rule(
        "string",
        "The language of the media; if absent, the setting media.default_language",
        high=128,
    ),
    "media_source": Rule(
        "string", "The source of the media", permitted=MEDIA_SOURCES, default="upload"
    ),
    "streamable": Rule("boolean", "Whether the media can be streamed", default=True),
    "prompt_id": Rule("string", "The prompt that this media is a translation of"),
    "content_type": Rule(
        "string",
        "The type of the audio; before there is audio, the type to assume for the upload",
        permitted=ACCEPTED_TYPES,
    ),
    "content_length": Rule("integer", "Size of the audio in bytes", 1),
    "source_id": Rule(
        "string", "If generated from a callflow module, the id of the properties", 32, 32
    ),
    "source_type": Rule("string", "If generated from a callflow module, the module's name"),
    "tts": Rule(
        "object",
        "What to speak",
        keys={
            "text": Rule("string", "The text to be converted into audio", 1),
            "voice": Rule(
                "string",
                "Gender and locale, or the speech engine's own name of the voice",
                permitted=VOICE_NAMES,
                pattern=_VOICE,
                default=DEFAULT_VOICE,
            ),
        },
    ),
}


def is_kazoo_voice(name: str) -> bool:
    """Return whether Kazoo knows a voice, regardless of which provider can speak with it."""
    return re.fullmatch(_KAZOO_VOICE, name, re.IGNORECASE) is not None


def _is_of(kind: str, value: object) -> bool:
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "boolean": bool, "object": dict}[kind])
