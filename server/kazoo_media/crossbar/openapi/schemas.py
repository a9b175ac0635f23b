"""The schemas of answers in the OpenAPI description: documents and envelopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from kazoo_media.audio.presets import PRESET_NAMES
from kazoo_media.documents.schema import RULES, Rule
from kazoo_media.media.resolution import PassedOverReason
from kazoo_media.model import RenditionKind

Schema = dict[str, Any]

BINARY: Schema = {"type": "string", "format": "binary"}
"""Bytes. OpenAPI 3.1 could say less, but generators know this form of OpenAPI 3.0."""

_STRING: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_DAMAGED: Schema = {
    "type": "boolean",
    "description": "Always true, otherwise absent: the stored audio is not what was stored once,"
    " and is not served",
}
_FACTS: Mapping[str, Schema] = {
    "duration_ms": {**_COUNT, "description": "Duration in milliseconds"},
    "sample_rate_hertz": {**_COUNT, "description": "Samples per second"},
    "channel_count": {**_COUNT, "description": "Number of channels"},
    "codec": {**_STRING, "description": "How samples are encoded, for example `mp3`"},
    "loudness_lufs": {"type": "number", "description": "Integrated loudness, ITU-R BS.1770"},
    "peak_dbfs": {"type": "number", "description": "The highest sample"},
    "clipped_samples": {**_COUNT, "description": "Number of samples at full scale"},
}


def reference(kind: str, name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def answer_schemas() -> dict[str, Schema]:
    """Return the schemas of all answers, and of what requests share with them, by name."""
    return {
        "Media": _stored_document(),
        "Rendition": _rendition(),
        "Recording": _recording(),
        "MediaRow": _row(),
        "Voice": _voice(),
        "Login": _login(),
        "Link": _link(),
        "Version": _version(),
        "Resolution": _resolution(),
        "PassedOver": _passed_over(),
        "Preset": {"type": "string", "enum": list(PRESET_NAMES)},
        "RenditionKind": {"type": "string", "enum": [str(kind) for kind in RenditionKind]},
        "DocumentEnvelope": _document_envelope(),
        "MediaListEnvelope": _list_envelope(reference("schemas", "MediaRow")),
        "RecordingEnvelope": _document_envelope("Recording"),
        "RecordingsEnvelope": _list_envelope(reference("schemas", "Recording")),
        "CountsEnvelope": _list_envelope(
            {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}
        ),
        "IdsEnvelope": _list_envelope(_STRING),
        "VoicesEnvelope": _envelope(_array(reference("schemas", "Voice")), {"revision": _STRING}),
        "VersionsEnvelope": _envelope(_array(reference("schemas", "Version")), {}),
        "LinkEnvelope": _envelope(reference("schemas", "Link"), {}),
        "ResolutionEnvelope": _envelope(reference("schemas", "Resolution"), {}),
        "LoginEnvelope": _login_envelope(),
        "Peaks": _peaks(),
        "ErrorEnvelope": _error_envelope(),
    }


def documented(rule: Rule) -> Schema:
    """Return the schema of a key of a document.

    Content types are plain text: a client that knows a fixed list could not read newer types. The
    description names a default: some generators require a key that has `default`, others send it
    with each change.
    """
    schema = _with_described_defaults(rule.schema)
    if rule is RULES["content_type"]:
        del schema["enum"]
        schema["examples"] = ["audio/x-wav", "audio/mpeg"]
    return schema


def _with_described_defaults(schema: Schema) -> Schema:
    """Return the schema with its defaults, and those of inner keys, in descriptions alone."""
    kept = dict(schema)
    if "default" in kept:
        kept["description"] += f"; default: {orjson.dumps(kept.pop('default')).decode()}"
    if "properties" in kept:
        inner = kept["properties"].items()
        kept["properties"] = {key: _with_described_defaults(each) for key, each in inner}
    return kept


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _envelope(data: Schema, more: Mapping[str, Schema], *required: str) -> Schema:
    """Return an envelope of a success; `more` are its keys beside the common ones."""
    return {
        "type": "object",
        "properties": {
            "data": data,
            "status": {"type": "string", "const": "success"},
            **_common(),
            "auth_token": {**_STRING, "description": "The token of the request"},
            **more,
        },
        "required": ["data", "status", *_common(), *required],
    }


def _common() -> dict[str, Schema]:
    return {
        "request_id": {**_STRING, "description": "Also in the header X-Request-ID"},
        "node": {**_STRING, "description": "Name of the node that answered"},
        "version": {**_STRING, "description": "Version of the service"},
        "timestamp": {"type": "string", "format": "date-time"},
    }


def _document_envelope(document: str = "Media") -> Schema:
    revision = {**_STRING, "description": "Revision of the document, for If-Match"}
    return _envelope(reference("schemas", document), {"revision": revision}, "revision")


def _list_envelope(row: Schema) -> Schema:
    more: Mapping[str, Schema] = {
        "revision": {**_STRING, "description": "Changes with the rows"},
        "page_size": {**_COUNT, "description": "Number of rows in this answer"},
        "start_key": {**_STRING, "description": "The `start_key` of the request"},
        "next_start_key": {**_STRING, "description": "The `start_key` of the next page, if any"},
    }
    return _envelope(_array(row), more)


def _login_envelope() -> Schema:
    more: Mapping[str, Schema] = {
        "auth_token": {**_STRING, "description": "The new token"},
        "revision": _STRING,
    }
    return _envelope(reference("schemas", "Login"), more, "auth_token")


def _error_envelope() -> Schema:
    return {
        "type": "object",
        "properties": {
            "data": {
                "type": "object",
                "description": "What is wrong: a `message`, or the errors of each key",
                "additionalProperties": True,
            },
            "status": {"type": "string", "const": "error"},
            "error": {**_STRING, "description": "The HTTP status"},
            "message": {**_STRING, "description": "A word for programs"},
            **_common(),
            "auth_token": {**_STRING, "description": "The token of the request, or `undefined`"},
        },
        "required": ["data", "status", "error", "message", *_common(), "auth_token"],
    }


def _peaks() -> Schema:
    """Return the envelope that is also audiowaveform JSON, whose `version` is a number."""
    pair: Schema = {"type": "integer", "minimum": -127, "maximum": 127}
    numbers: Mapping[str, Schema] = {
        "version": {"type": "integer", "description": "Version of the format, 2"},
        "channels": _COUNT,
        "sample_rate": {**_COUNT, "description": "Hertz"},
        "samples_per_pixel": {**_COUNT, "description": "Samples in a bucket"},
        "bits": {**_COUNT, "description": "8"},
        "length": {**_COUNT, "description": "Number of buckets"},
    }
    return _envelope(_array(pair), numbers, *list(numbers)[1:])


def _stored_document() -> Schema:
    owned: Schema = {
        "id": {**_STRING, "description": "In the id of a prompt the slash is percent-encoded"},
        **_FACTS,
        "renditions": {
            "type": "object",
            "description": "The same keys for each stored rendition; at the top level they describe"
            " the rendition that a download serves",
            "properties": {str(kind): reference("schemas", "Rendition") for kind in RenditionKind},
            "required": [str(RenditionKind.ORIGINAL)],
        },
        "normalization_error": {**_STRING, "description": "Why the audio was not normalized"},
        "normalization_warning": {**_STRING, "description": "What was odd in the audio"},
        "normalization_preset": {**_STRING, "description": "How the audio was normalized"},
        "attachment_name": {**_STRING, "description": "File name of the upload"},
        "damaged": _DAMAGED,
        "_read_only": {
            "type": "object",
            "description": "Only in the answer to DELETE",
            "additionalProperties": True,
        },
    }
    known = {key: documented(rule) for key, rule in RULES.items()}
    return {
        "type": "object",
        "description": "A document, with all other keys that were stored in it",
        "properties": known | owned,
        "required": ["id", "name"],
        "additionalProperties": True,
    }


def _recording() -> Schema:
    sent: Schema = {
        "call_id": {**_STRING, "description": "Id of the call"},
        "owner_id": {**_STRING, "description": "Id of the user who was recorded"},
        "media_source": {"type": "string", "const": "recorded"},
        "media_type": {**_STRING, "description": "Extension of a file name for the audio"},
        "incomplete": {"type": "boolean", "description": "True if the recorder did not finish"},
        "upload_id": {**_STRING, "description": "Id of the upload that it was"},
        "_read_only": {
            "type": "object",
            "properties": {
                "content_types": _array(_STRING),
                "deleted": {"type": "boolean", "description": "Only in the answer to DELETE"},
            },
            "required": ["content_types"],
        },
    }
    document = _stored_document()
    return {
        **document,
        "description": "A recording, with all other keys that the recorder sent",
        "properties": document["properties"] | sent,
        "required": [*document["required"], "media_source", "_read_only"],
    }


def _rendition() -> Schema:
    about: Schema = {"content_type": _STRING, "content_length": _COUNT}
    properties = {**about, **_FACTS, "damaged": _DAMAGED}
    return {"type": "object", "properties": properties, "required": list(about)}


def _row() -> Schema:
    keys = ("name", "media_source", "language", "content_type")
    properties: Schema = {key: documented(RULES[key]) for key in keys}
    properties |= {"id": _STRING, "is_prompt": {"type": "boolean"}}
    return {"type": "object", "properties": properties, "required": ["id", "is_prompt"]}


def _voice() -> Schema:
    properties: Schema = {
        "name": {**_STRING, "description": "The value for `tts.voice`, gender and locale"},
        "locale": _STRING,
        "gender": {"type": "string", "enum": ["female", "male"]},
        "engine_voice": {
            **_STRING,
            "description": "The engine's own name, which `tts.voice` accepts as well",
        },
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _login() -> Schema:
    """Return what clients of Kazoo read from the answer to a log-in."""
    flag: Schema = {"type": "boolean"}
    always: Schema = {
        "account_id": _STRING,
        "account_name": _STRING,
        "apps": {**_array({}), "description": "Always empty"},
        "is_master_account": flag,
        "is_reseller": flag,
        "language": _STRING,
        "reseller_id": _STRING,
    }
    owner = {**_STRING, "description": "Id of the user who has logged in"}
    properties = {**always, "owner_id": owner}
    return {"type": "object", "properties": properties, "required": list(always)}


def _link() -> Schema:
    properties: Schema = {
        "link": {
            **_STRING,
            "description": "The URL. It begins with the setting media.link_base_url, or if that is"
            " empty with the path, `/media/`",
        },
        "content_type": _STRING,
        "content_length": _COUNT,
        "expires": {
            "type": "string",
            "format": "date-time",
            "description": "When it ends; absent: it does not end by time",
        },
    }
    required = ["link", "content_type", "content_length"]
    return {"type": "object", "properties": properties, "required": required}


def _resolution() -> Schema:
    link = _link()
    own: Schema = {
        "id": {**_STRING, "description": "Id of the media"},
        "account_id": {**_STRING, "description": "Its account, or `system`"},
        "language": {**_STRING, "description": "The language that was found"},
    }
    passed_over = {
        **_array(reference("schemas", "PassedOver")),
        "description": "Nearer translations, in the order in which they were looked at",
    }
    properties = {**own, **link["properties"], "passed_over": passed_over}
    required = [*own, *link["required"], "passed_over"]
    return {"type": "object", "properties": properties, "required": required}


def _passed_over() -> Schema:
    properties: Schema = {
        "id": {**_STRING, "description": "Id of the media that was looked for"},
        "account_id": {**_STRING, "description": "Its account, or `system`"},
        "language": _STRING,
        "reason": {"type": "string", "enum": [str(each) for each in PassedOverReason]},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _version() -> Schema:
    properties: Schema = {
        "version": {"type": "integer", "description": "Its number; larger is newer", "minimum": 1},
        "content_type": _STRING,
        "content_length": _COUNT,
        "replaced": {
            "type": "string",
            "format": "date-time",
            "description": "When it was replaced",
        },
        "duration_ms": _FACTS["duration_ms"],
    }
    required = ["version", "content_type", "content_length", "replaced"]
    return {"type": "object", "properties": properties, "required": required}
