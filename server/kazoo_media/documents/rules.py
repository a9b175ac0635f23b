"""Rules of documents: validation, defaults, the keys that the service writes, ids.

Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from kazoo_media.documents.limits import check_extent, check_nul
from kazoo_media.documents.schema import RULES
from kazoo_media.documents.violations import required
from kazoo_media.errors import ValidationError, Violation
from kazoo_media.model import AudioFacts, Content, Rendition

_CONTENT_KEYS = ("content_type", "content_length")
_FACT_KEYS = tuple(each.name for each in fields(AudioFacts))
_SERVICE_KEYS = (
    "attachment_name",
    "damaged",
    "normalization_error",
    "normalization_warning",
    "normalization_preset",
    "renditions",
    *_FACT_KEYS,
)
"""Keys that only the service writes; values that clients send for them are ignored."""

MEDIA_ID_LIMIT = 1024
_PERCENT_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_STREAMS = (
    "silence_stream://",
    "tone_stream://",
    "local_stream://",
    "shout://",
    "http://",
    "https://",
)
_RESERVED_IDS = ("prompts", "languages", "tts")
"""Words that a REST path has in the place of a media id."""


def validated(
    data: Mapping[str, Any], content: Content | None, default_language: str
) -> dict[str, Any]:
    """Return the document to store for the data of a client: checked, coerced, with defaults.

    Unknown keys are kept. `id`, keys that start with `_` or `pvt_`, and keys that only the service
    writes are dropped (`content_type` and `content_length` only if there is content).

    Raises:
        ValidationError: the data break rules; it has all violations, or one limit.
        TooLargeError: the keys and strings are too long together.
    """
    ignored = _SERVICE_KEYS + (_CONTENT_KEYS if content is not None else ())
    document = {
        key: value
        for key, value in data.items()
        if not key.startswith(("_", "pvt_")) and key != "id" and key not in ignored
    }
    check_extent(document)
    _apply_defaults(document, default_language)
    violations = [*_missing(document), *_violations(document)]
    if violations:
        raise ValidationError(violations)
    check_nul(document)
    if document.get("prompt_id") and document.get("language"):
        document["language"] = document["language"].lower()
    return document


def with_content_keys(
    document: Mapping[str, Any], content: Content | None, outcome: Mapping[str, str]
) -> dict[str, Any]:
    """Return the document with the keys that the service writes about its content.

    Args:
        document: A validated document, or a stored one whose content keys are replaced.
        outcome: `attachment_name`, `normalization_error` and `normalization_warning`; absent keys
            are removed from the document.
    """
    if content is None:
        return dict(document)
    owned = _SERVICE_KEYS + _CONTENT_KEYS
    result = {key: value for key, value in document.items() if key not in owned}
    served = content.served
    result |= _rendition_keys(served)
    result["renditions"] = {str(each.kind): _rendition_keys(each) for each in content.renditions}
    if served.normalization is not None:
        result["normalization_preset"] = served.normalization.partition(" ")[0]
    if content.is_damaged:
        result["damaged"] = True
    # Names of files and words of programs may have any character: no store has to take a NUL.
    result |= {key: value.replace("\0", "") for key, value in outcome.items()}
    return result


def _rendition_keys(rendition: Rendition) -> dict[str, Any]:
    facts = {key: getattr(rendition.facts, key) for key in _FACT_KEYS}
    return {
        "content_type": rendition.content_type,
        "content_length": rendition.size_bytes,
        **{key: value for key, value in facts.items() if value is not None},
        **({"damaged": True} if rendition.is_damaged else {}),
    }


def conversion_outcome(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of a stored document about its last upload and conversion."""
    keys = ("attachment_name", "normalization_error", "normalization_warning")
    return {key: document[key] for key in keys if key in document}


def merged(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the changes of a JSON merge patch. Source: RFC 7396."""
    result = dict(document)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            inner = result.get(key)
            result[key] = merged(inner if isinstance(inner, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def prompt_media_id(document: Mapping[str, Any]) -> str | None:
    """Return the media id of a prompt; None if the document is not a prompt.

    Source: Kazoo kz_media_util:prompt_id/2.
    """
    prompt_id = document.get("prompt_id")
    if not prompt_id:
        return None
    if is_stream(str(prompt_id)):
        return str(prompt_id)
    prompt_id = str(prompt_id).removeprefix("/system_media/")
    language = str(document.get("language") or "").lower()
    return f"{language}/{prompt_id}" if language else str(prompt_id)


def is_stream(prompt_id: str) -> bool:
    """Return whether a prompt id names a stream that the switch itself plays.

    A stream has no translations, so the media id is the prompt id without a language.

    Source: Kazoo kz_media_util:prompt_id/2.
    """
    return prompt_id == "silence" or prompt_id.startswith(_STREAMS)


def check_media_id(media_id: str, field: str = "id") -> None:
    """Check an id that a client chose.

    Raises:
        ValidationError: the id is empty, too long, percent-encoded, a reserved word, or has a NUL.
    """
    problem = None
    if not 0 < len(media_id) <= MEDIA_ID_LIMIT:
        problem = f"must have 1 to {MEDIA_ID_LIMIT} characters"
    elif "\0" in media_id:
        problem = "must not contain NUL"
    elif _PERCENT_ENCODED.search(media_id):
        problem = "must not be percent-encoded"
    elif media_id in _RESERVED_IDS:
        problem = "is a reserved word"
    if problem:
        raise ValidationError(
            [Violation(field, "invalid", problem, {"value": media_id[:MEDIA_ID_LIMIT]})]
        )


def _apply_defaults(document: dict[str, Any], default_language: str) -> None:
    document.setdefault("language", default_language)
    for key, rule in RULES.items():
        if rule.default is not None:
            document.setdefault(key, rule.default)
        sent = document.setdefault(key, {}) if rule.keys else None
        if isinstance(sent, dict):
            inner = {name: each.default for name, each in rule.keys.items() if each.default}
            document[key] = {**inner, **sent}
    if document["language"] is None:
        del document["language"]


def _missing(document: Mapping[str, Any]) -> Iterator[Violation]:
    if document.get("name") is None:
        yield required("name")
    tts = document["tts"]
    if document["media_source"] == "tts" and isinstance(tts, dict) and tts.get("text") is None:
        yield required("tts.text")


def _violations(document: dict[str, Any]) -> Iterator[Violation]:
    """Yield every violation; replace strings that stand for an expected integer or boolean."""
    for key, rule in RULES.items():
        if key in document:
            document[key] = rule.read(document[key])
            yield from rule.violations(key, document[key])
