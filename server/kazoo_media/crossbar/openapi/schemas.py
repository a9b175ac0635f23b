"""The schemas of the OpenAPI description: documents, envelopes, error answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kazoo_media.audio.speech.provider import LOCALES, VOICE_NAMES
from kazoo_media.crossbar.answers import JSON
from kazoo_media.documents.rules import MEDIA_ID_LIMIT
from kazoo_media.documents.schema import RULES, Rule
from kazoo_media.errors import MediaError, SpeechFailedError
from kazoo_media.model import RenditionKind

Schema = dict[str, Any]

_STRING: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_DAMAGED: Schema = {
    "const": True,
    "description": "The stored audio is not what was stored once, and is not served",
}
_FACTS: Mapping[str, Schema] = {
    "duration_ms": _COUNT,
    "sample_rate_hertz": _COUNT,
    "channel_count": _COUNT,
    "codec": _STRING,
    "loudness_lufs": {"type": "number"},
    "peak_dbfs": {"type": "number"},
    "clipped_samples": _COUNT,
}
_GATEWAY_WORDS: Mapping[int, str] = {
    408: "request_timeout",
    431: "headers_too_large",
    504: "gateway_timeout",
}
"""Errors that only the gateway answers. Source: gateway/envoy.yaml."""
_ANSWER_HEADERS: Mapping[int, Mapping[str, Schema]] = {
    405: {"Allow": {"schema": _STRING, "required": True}},
    416: {"Content-Range": {"schema": {"type": "string", "pattern": r"^bytes \*/\d+$"}}},
    429: {"Retry-After": {"schema": _COUNT, "required": True}},
    503: {"Retry-After": {"schema": _COUNT, "required": True}},
}


def reference(kind: str, name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def schemas() -> dict[str, Schema]:
    """Return all schemas by name."""
    data = {
        "Document": reference("schemas", "Media"),
        "Media list": {"type": "array", "items": reference("schemas", "MediaRow")},
        "Counts": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        },
        "Ids": {"type": "array", "items": _STRING},
        "Voices": {"type": "array", "items": _voice()},
        "Login": {
            "type": "object",
            "properties": {"account_id": _STRING, "account_name": _STRING, "language": _STRING},
            "required": ["account_id"],
        },
    }
    return {
        "Media": _stored_document(),
        "MediaRow": _row(),
        "NewMedia": _sent_document(required=True) | {"required": ["name"]},
        "MediaChanges": _sent_document(required=False),
        "Peaks": _peaks(),
        "ErrorEnvelope": _envelope("error", {"type": ["object", "array"]}, "message", "error"),
        **{
            f"{name.title().replace(' ', '')}Envelope": _envelope("success", shape)
            for name, shape in data.items()
        },
    }


def error_answers() -> dict[str, Schema]:
    """Return the error answer of each HTTP status; the error classes describe it."""
    words: dict[int, dict[str, str]] = {
        status: {word: "Answered by the gateway."} for status, word in _GATEWAY_WORDS.items()
    }
    for error in _leaves(MediaError):
        word = "" if error is SpeechFailedError else error.kazoo_message
        about = (error.__doc__ or "").partition("\n")[0]
        known = words.setdefault(error.http_status, {})
        known[word] = f"{known[word]} {about}" if word in known else about
    return {str(status): _error_answer(status, known) for status, known in sorted(words.items())}


def _leaves(error: type[MediaError]) -> Iterator[type[MediaError]]:
    below = error.__subclasses__()
    if not below:
        yield error
    for each in below:
        yield from _leaves(each)


def _error_answer(status: int, words: Mapping[str, str]) -> Schema:
    lines = [f"- `{word}`: {about}" if word else f"- {about}" for word, about in words.items()]
    message = {"enum": list(words)} if all(words) else {}
    known: Schema = {"error": {"const": str(status)}, "message": {"type": "string", **message}}
    shape = {"allOf": [reference("schemas", "ErrorEnvelope"), {"properties": known}]}
    answer = {"description": "\n".join(lines), "content": {JSON: {"schema": shape}}}
    headers = _ANSWER_HEADERS.get(status)
    return answer | ({"headers": dict(headers)} if headers else {})


def _envelope(status: str, data: Schema, *more: str) -> Schema:
    properties: Schema = {
        "data": data,
        "status": {"const": status},
        "request_id": _STRING,
        "node": _STRING,
        "version": _STRING,
        "timestamp": {"type": "string", "format": "date-time"},
        "auth_token": _STRING,
    }
    if more:
        properties |= dict.fromkeys(more, _STRING)
    else:
        properties |= {
            "revision": _STRING,
            "page_size": _COUNT,
            "start_key": _STRING,
            "next_start_key": _STRING,
        }
    always = ["data", "status", "request_id", "node", "version", "timestamp", *more]
    return {"type": "object", "properties": properties, "required": always}


def _peaks() -> Schema:
    """Return the envelope that is also audiowaveform JSON, whose `version` is a number."""
    pair = {"type": "integer", "minimum": -127, "maximum": 127}
    envelope = _envelope("success", {"type": "array", "items": pair})
    numbers = ("channels", "sample_rate", "samples_per_pixel", "bits", "length")
    envelope["properties"] |= dict.fromkeys(numbers, _COUNT) | {"version": {"const": 2}}
    envelope["required"] += numbers
    return envelope


def _stored_document() -> Schema:
    owned: Schema = {
        "id": {**_STRING, "description": "In the id of a prompt the slash is percent-encoded"},
        **_FACTS,
        "renditions": {
            "type": "object",
            "description": "The same keys for each stored rendition; at the top level they describe"
            " the rendition that a download serves",
            "properties": {str(kind): _rendition() for kind in RenditionKind},
            "required": [str(RenditionKind.ORIGINAL)],
        },
        "normalization_error": _STRING,
        "normalization_warning": _STRING,
        "normalization_preset": _STRING,
        "attachment_name": _STRING,
        "damaged": _DAMAGED,
        "_read_only": {"type": "object", "description": "Only in the answer to DELETE"},
    }
    properties = {key: rule.schema for key, rule in RULES.items()} | owned
    return {"type": "object", "properties": properties, "required": ["id", "name"]}


def _rendition() -> Schema:
    about = {"content_type": _STRING, "content_length": _COUNT}
    properties = {**about, **_FACTS, "damaged": _DAMAGED}
    return {"type": "object", "properties": properties, "required": list(about)}


def _sent_document(*, required: bool) -> Schema:
    properties = {key: _sent(rule, nullable=not required) for key, rule in RULES.items()}
    return {
        "type": "object",
        "properties": properties,
        "description": "Other keys are stored as well, except those that start with `_` or `pvt_`",
    }


def _sent(rule: Rule, *, nullable: bool) -> Schema:
    """Return the schema of a value in a request.

    A string may stand for a boolean or an integer; null is permitted where it removes a key.
    """
    schema = rule.schema
    choices = [schema]
    if rule.kind == "boolean":
        choices.append({"enum": ["true", "false"]})
    elif rule.kind == "integer":
        choices.append({"type": "string", "pattern": r"^[1-9][0-9]{0,16}$"})
    if nullable:
        choices.append({"type": "null"})
    return schema if len(choices) == 1 else {"anyOf": choices}


def _row() -> Schema:
    properties: Schema = {
        key: RULES[key].schema for key in ("name", "media_source", "language", "content_type")
    }
    properties |= {"id": _STRING, "is_prompt": {"type": "boolean"}}
    return {"type": "object", "properties": properties, "required": ["id", "is_prompt"]}


def _voice() -> Schema:
    properties: Schema = {
        "name": {"enum": list(VOICE_NAMES), "description": "The value for `tts.voice`"},
        "locale": {"enum": list(LOCALES)},
        "gender": {"enum": ["female", "male"]},
        "engine_voice": {
            **_STRING,
            "description": "The engine's own name, which `tts.voice` accepts as well",
        },
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def media_id_schema() -> Schema:
    """Return the schema of an id that a client chooses."""
    return {"type": "string", "minLength": 1, "maxLength": MEDIA_ID_LIMIT}
