"""What a recorder asks for when it begins, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from kazoo_media.audio.formats import ACCEPTED_TYPES, UNTYPED, essence, format_of
from kazoo_media.audio.inspect.plausibility import HIGHEST_RATE_HERTZ, LOWEST_RATE_HERTZ
from kazoo_media.documents.rules import check_media_id
from kazoo_media.errors import UnsupportedMediaTypeError, ValidationError, Violation
from kazoo_media.recordings.raw_audio import RawAudio, RawEncoding

MOST_BYTES = 2_000_000_000
"""Larger sizes in the header of a WAV are what other programs write for an unknown size."""

MOST_SPEC_BYTES = 64 * 1024
"""Of a spec, and of the keys that a finish adds."""

_UPLOAD_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_RATES = range(LOWEST_RATE_HERTZ, HIGHEST_RATE_HERTZ + 1)
_ROLE_CHARACTERS = 128
_IDENTITY_KEYS = {"id", "prompt_id", "media_source", "tts"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSpec:
    """What is recorded.

    Attributes:
        document: The document of a new media as the client wrote it; None: `media_id` exists, and
            its audio is replaced at the end.
        media_id: "": a new media gets an id of its own.
        content_type: Type of the container; "": recognised from the bytes.
        raw: None: the bytes are a container.
        max_bytes: 0: MOST_BYTES.
        min_duration_ms: A shorter recording is discarded at its end.
        note: A text that the surface keeps for its client.
    """

    document: Mapping[str, Any] | None
    media_id: str = ""
    content_type: str = ""
    raw: RawAudio | None = None
    max_bytes: int = 0
    min_duration_ms: int = 0
    note: str = ""

    @property
    def limit_bytes(self) -> int:
        """Return the most bytes of the upload."""
        return self.max_bytes or MOST_BYTES

    def check(self) -> None:
        """Check everything except the document.

        Raises:
            ValidationError: a field breaks a rule.
            UnsupportedMediaTypeError: the container cannot be stored.
        """
        violations = list(_violations(self))
        if violations:
            raise ValidationError(violations)
        if self.media_id:
            check_media_id(self.media_id, "spec.media_id")
        content_type = essence(self.content_type)
        if content_type not in ("", *UNTYPED) and format_of(content_type) is None:
            message = f"content type {content_type!r} cannot be stored"
            raise UnsupportedMediaTypeError(message, ACCEPTED_TYPES)

    def to_json(self) -> str:
        """Return the stored form; equal specs have equal texts.

        Raises:
            ValidationError: it is longer than MOST_SPEC_BYTES.
        """
        return bounded_json("spec", {name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> UploadSpec:
        """Return a stored spec."""
        values = orjson.loads(text)
        raw = values.pop("raw")
        if raw is not None:
            roles = tuple(raw.pop("channel_roles"))
            raw = RawAudio(RawEncoding(raw.pop("encoding")), **raw, channel_roles=roles)
        return cls(raw=raw, **values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an upload ends.

    Attributes:
        size_bytes: How many bytes were sent; None: whatever is durable.
        sha256: Digest of the bytes sent, "" if it is not to be compared.
        reason: Why it ended, "" if nobody said.
        extra: Further keys of the document.
        is_complete: Whether the recorder itself ended it.
    """

    size_bytes: int | None = None
    sha256: str = ""
    reason: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    is_complete: bool = True

    def check(self) -> None:
        """Check that the further keys leave the recording what it is.

        Raises:
            ValidationError: one of them would not.
        """
        violations = [
            _violation(f"finish.extra.{key}", "a finish cannot change this key")
            for key in _IDENTITY_KEYS & self.extra.keys()
        ]
        if violations:
            raise ValidationError(violations)

    def to_json(self) -> str:
        """Return the stored form.

        Raises:
            ValidationError: it is longer than MOST_SPEC_BYTES.
        """
        return bounded_json("finish", {name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> Ending:
        """Return a stored ending."""
        return cls(**orjson.loads(text))


def bounded_json(field_name: str, value: object) -> str:
    """Return a value as JSON with sorted keys.

    Raises:
        ValidationError: it is longer than MOST_SPEC_BYTES.
    """
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if len(text) > MOST_SPEC_BYTES:
        message = f"must not have more than {MOST_SPEC_BYTES} bytes of JSON"
        raise ValidationError([Violation(field_name, "invalid", message, {})])
    return text


def check_upload_id(upload_id: str) -> None:
    """Check the id that a recorder chose.

    Raises:
        ValidationError: it is empty, too long, or could be a path.
    """
    if _UPLOAD_ID.fullmatch(upload_id) is None or upload_id in (".", ".."):
        message = "must be 1 to 128 letters, digits and -_. , and not . or .."
        extra = {"value": upload_id[:128]}
        raise ValidationError([Violation("upload_id", "invalid", message, extra)])


def _violations(spec: UploadSpec) -> Iterator[Violation]:
    if spec.document is None and not spec.media_id:
        yield _violation("spec.media", "a document, or the id of an existing media, is required")
    if not 0 <= spec.max_bytes <= MOST_BYTES:
        yield _violation("spec.max_bytes", f"must be 0 to {MOST_BYTES}")
    if spec.min_duration_ms < 0:
        yield _violation("spec.min_duration_ms", "must not be negative")
    if spec.document is not None and spec.document.get("prompt_id"):
        yield _violation("spec.media.prompt_id", "a recording is not a prompt")
    if spec.raw is not None:
        yield from _raw_violations(spec.raw)
        if spec.content_type:
            yield _violation("spec.content_type", "must be empty: raw audio has no container")


def _raw_violations(raw: RawAudio) -> Iterator[Violation]:
    if raw.sample_rate_hertz not in _RATES:
        yield _violation("spec.raw.sample_rate_hertz", f"must be {_RATES[0]} to {_RATES[-1]}")
    if raw.channel_count not in (1, 2):
        yield _violation("spec.raw.channel_count", "must be 1 or 2")
    if raw.channel_roles and len(raw.channel_roles) != raw.channel_count:
        yield _violation("spec.raw.channel_roles", "must be one a channel, or none")
    if any(len(role) > _ROLE_CHARACTERS for role in raw.channel_roles):
        message = f"must not have more than {_ROLE_CHARACTERS} characters"
        yield _violation("spec.raw.channel_roles", message)


def _violation(field_name: str, message: str) -> Violation:
    return Violation(field_name, "invalid", message, {})
