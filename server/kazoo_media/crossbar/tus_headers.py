"""The headers of the tus protocol. Source: tus resumable upload protocol 1.0.0."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from kazoo_media.crossbar.recording_keys import NUMBER, with_numbers
from kazoo_media.errors import ValidationError, Violation
from kazoo_media.recordings.spec import MOST_BYTES

VERSION = "1.0.0"
CHUNK_TYPE = "application/offset+octet-stream"

ALWAYS: Mapping[str, str] = {"tus-resumable": VERSION, "tus-version": VERSION}
"""In all answers."""

ABILITIES: Mapping[str, str] = {
    **ALWAYS,
    "tus-extension": ("creation,creation-with-upload,creation-defer-length,expiration,termination"),
    "tus-max-size": str(MOST_BYTES),
}
"""In the answer to OPTIONS."""

SEEN = (
    "location, tus-resumable, tus-version, tus-extension, tus-max-size, upload-offset,"
    " upload-length, upload-defer-length, upload-metadata, upload-expires, x-request-id"
)
"""Headers that scripts of other origins may read."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPE_KEYS = ("type", "filetype", "content_type", "contentType")
_NAME_KEYS = ("name", "filename")
_OWN_KEYS = frozenset((*_TYPE_KEYS, "filename", "sha256", "prompt_id", "tts"))
_NAME_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a client says about its upload.

    Attributes:
        text: The header as it was sent.
    """

    text: str
    values: Mapping[str, str]

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the parsed header Upload-Metadata.

        Raises:
            ValidationError: a value is not base64 of UTF-8, or sha256 is no digest.
        """
        values: dict[str, str] = {}
        for pair in text.split(","):
            key, _, value = pair.strip().partition(" ")
            if not key:
                continue
            try:
                values[key] = base64.b64decode(value.strip(), validate=True).decode()
                _check_text(values[key])
            except ValueError as error:
                raise _invalid("upload-metadata", f"{key[:128]} is not base64 of UTF-8") from error
        sha256 = values.get("sha256", "").lower()
        if sha256 and not _SHA256.fullmatch(sha256):
            raise _invalid("upload-metadata", "sha256 must have 64 hex digits")
        return cls(text, values)

    @property
    def content_type(self) -> str:
        """Return the type of the audio; "": none was sent."""
        return next((self.values[key] for key in _TYPE_KEYS if self.values.get(key)), "")

    @property
    def sha256(self) -> str:
        """Return the digest of all bytes in lower case; "": none was sent."""
        return self.values.get("sha256", "").lower()

    def document(self) -> dict[str, Any]:
        """Return the document of the recording."""
        name = next((self.values[key] for key in _NAME_KEYS if self.values.get(key)), "recording")
        kept = {key: value for key, value in self.values.items() if key not in _OWN_KEYS}
        return {**with_numbers(kept), "name": name[:_NAME_CHARACTERS]}


def declared_size(headers: Mapping[str, str]) -> int | None:
    """Return the header Upload-Length, None without it.

    Raises:
        ValidationError: it is not a number, or 0: a recording has bytes.
    """
    text = headers.get("upload-length")
    if text is None:
        return None
    if not NUMBER.fullmatch(text) or int(text) == 0:
        raise _invalid("upload-length", "must be a number greater than 0")
    return int(text)


def is_deferred(headers: Mapping[str, str]) -> bool:
    """Return whether a later PATCH has the length.

    Raises:
        ValidationError: the header is there and not 1.
    """
    text = headers.get("upload-defer-length")
    if text not in (None, "1"):
        raise _invalid("upload-defer-length", "must be 1")
    return text == "1"


def offset_of(headers: Mapping[str, str]) -> int:
    """Return the header Upload-Offset.

    Raises:
        ValidationError: it is missing, or not a number.
    """
    text = headers.get("upload-offset", "")
    if not NUMBER.fullmatch(text):
        raise _invalid("upload-offset", "must be a number")
    return int(text)


def _check_text(value: str) -> None:
    if "\0" in value:
        raise ValueError("NUL")


def _invalid(header: str, message: str) -> ValidationError:
    return ValidationError([Violation(header, "invalid", message, {})])
