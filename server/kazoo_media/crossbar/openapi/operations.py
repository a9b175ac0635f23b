"""Parameters, bodies and answers of the operations in the OpenAPI description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kazoo_media.access.users import METHODS
from kazoo_media.audio.formats import ACCEPTED_TYPES, UNTYPED
from kazoo_media.audio.presets import PRESET_NAMES
from kazoo_media.crossbar.answers import CSV, JSON
from kazoo_media.crossbar.content_types import BASE64_TYPES, FORM, JSON_TYPES
from kazoo_media.crossbar.openapi.schemas import Schema, media_id_schema, reference
from kazoo_media.crossbar.operations import Operation
from kazoo_media.media.waveforms import DEFAULT_BUCKETS, MOST_BUCKETS
from kazoo_media.model import RenditionKind

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"enum": ["true", "false"]}
_SECONDS: Schema = {"type": "integer", "minimum": 0, "maximum": 999_999_999_999_999}
_KEYS: Schema = {"type": "array", "items": {"type": "string", "minLength": 1}}


def _query(about: str, schema: Schema, **more: object) -> Schema:
    return {"in": "query", "description": about, "schema": schema, **more}


def _header(name: str, about: str) -> Schema:
    return {"in": "header", "name": name, "description": about, "schema": _TEXT}


_GREGORIAN = "in seconds since the year 0: Unix time + 62167219200"
PARAMETERS: Mapping[str, Schema] = {
    "filters": _query(
        "`filter_K=V` and `filter_not_K=V`: only media whose key K is or is not V. A nested key is"
        " written with dots. If V is a JSON array, any of its elements matches. The case of a"
        " language does not matter.",
        {"type": "object", "patternProperties": {"^filter_(not_)?[a-z]": _TEXT}},
        style="form",
        explode=True,
    ),
    "has_key": _query("Only media that have these keys", _KEYS),
    "key_missing": _query("Only media that lack these keys", _KEYS),
    "has_value": _query("Only media in which these keys have a value", _KEYS),
    "value_missing": _query("Only media in which these keys have no value", _KEYS),
    "missing_value": _query("The same as value_missing", _KEYS),
    "created_from": _query(f"Only media created at this time or later, {_GREGORIAN}", _SECONDS),
    "created_to": _query(f"Only media created at this time or earlier, {_GREGORIAN}", _SECONDS),
    "modified_from": _query(f"Only media changed at this time or later, {_GREGORIAN}", _SECONDS),
    "modified_to": _query(f"Only media changed at this time or earlier, {_GREGORIAN}", _SECONDS),
    "descending": _query("`true`: descending order of ids", _FLAG),
    "paginate": _query("`false`: all rows in one answer", _FLAG),
    "page_size": _query(
        "Maximum number of rows; default: the setting crossbar.pagination_page_size",
        {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    ),
    "start_key": _query("The `next_start_key` of the previous page", _TEXT),
    "accept": _query("Used instead of the header Accept", _TEXT),
    "pretty_print": _query("`true`: indented JSON", _FLAG),
    "verb": _query("The verb that a POST stands for", {"enum": ["PUT", "PATCH", "DELETE"]}),
    "hard_delete": _query(
        "`true`: document and audio are removed for good, and the id can be used again", _FLAG
    ),
    "filename": _query(
        "Name of the file: stored with an upload, suggested for saving a download", _TEXT
    ),
    "preset": _query(
        "How to normalize the audio, even if normalization is off; default: the setting"
        " media.normalize_preset",
        {"enum": list(PRESET_NAMES)},
    ),
    "buckets": _query(
        "Maximum number of buckets of the waveform",
        {"type": "integer", "minimum": 1, "maximum": MOST_BUCKETS, "default": DEFAULT_BUCKETS},
    ),
    "rendition": _query(
        "The rendition to use, regardless of Accept",
        {"enum": [str(kind) for kind in RenditionKind]},
    ),
    "inline": _query("`true`: Content-Disposition is inline instead of attachment", _FLAG),
    "if_match": _header("If-Match", "Proceed only if the document has this revision; else 412"),
    "if_none_match": _header(
        "If-None-Match", "Proceed only if the entity tag has changed; else 304, or 412 for a change"
    ),
    "if_modified_since": _header(
        "If-Modified-Since", "Without If-None-Match: 304 if nothing was changed after this date"
    ),
    "if_unmodified_since": _header(
        "If-Unmodified-Since", "Without If-Match: 412 if something was changed after this date"
    ),
    "if_range": _header("If-Range", "Send the whole audio if it no longer has this entity tag"),
    "range": _header("Range", "One range of bytes; several ranges are answered with the whole"),
    "transfer_encoding": _header("Content-Transfer-Encoding", "`base64`: the body is base64 text"),
}
_LIST_PARAMETERS = ("paginate", "page_size", "start_key", "accept", "pretty_print")
_FILTER_PARAMETERS = tuple(PARAMETERS)[: tuple(PARAMETERS).index("paginate")]
_AUDIO_PARAMETERS = (
    *("rendition", "inline", "filename"),
    *("if_match", "if_unmodified_since", "if_none_match", "if_modified_since"),
    *("if_range", "range"),
)

_FILE: Schema = {
    "type": "object",
    "properties": {"file": {"contentMediaType": "application/octet-stream"}},
}
_AUDIO_BODIES: Schema = {
    **{content_type: {} for content_type in (*ACCEPTED_TYPES, *UNTYPED)},
    **{
        content_type: {"schema": {"type": "string", "contentEncoding": "base64"}}
        for content_type in BASE64_TYPES
    },
    "multipart/form-data": {"schema": _FILE},
}


def _json_bodies(data: Schema) -> Schema:
    envelope = {"type": "object", "properties": {"data": data}, "required": ["data"]}
    bodies: Schema = {content_type: {"schema": envelope} for content_type in JSON_TYPES}
    about = "A form, or JSON with this type, as `curl -d` sends it"
    bodies[FORM] = {"schema": {"type": "object", "description": about}}
    return bodies


_CHOSEN_ID: Schema = {
    "properties": {"id": {**media_id_schema(), "pattern": r"^[^%\u0000]*$"}},
}
_API_KEY: Schema = {
    "type": "object",
    "properties": {"api_key": {"type": "string", "minLength": 64, "maxLength": 64}},
    "required": ["api_key"],
}
_CREDENTIALS: Schema = {
    "type": "object",
    "properties": {
        "credentials": {"type": "string", "description": "Hex digest of `name:password`"},
        "method": {"enum": list(METHODS), "default": METHODS[0]},
        "account_name": {"type": "string"},
        "account_realm": {"type": "string"},
        "realm": {"type": "string", "description": "The same as account_realm"},
    },
    "required": ["credentials"],
}
_NEW_MEDIA = reference("schemas", "NewMedia")
BODIES: Mapping[str, Schema] = {
    "create": _json_bodies({"allOf": [_NEW_MEDIA, _CHOSEN_ID]}),
    "update": _json_bodies(_NEW_MEDIA) | _AUDIO_BODIES,
    "patch": _json_bodies(reference("schemas", "MediaChanges")),
    "delete": _json_bodies({"type": "object", "properties": {"hard_delete": {"type": "boolean"}}}),
    "upload": _AUDIO_BODIES,
    "log_in": _json_bodies(_API_KEY),
    "log_in_user": _json_bodies(_CREDENTIALS),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about an operation that its path does not tell.

    Attributes:
        parameters: Names in PARAMETERS.
        successes: HTTP statuses, each with the name of an envelope, `audio`, or "" for no body.
        refusals: HTTP statuses of errors that not all operations have.
        body: Name in BODIES; "": no body.
        needs_token: Whether the caller must send a token.
    """

    parameters: Sequence[str]
    successes: Sequence[tuple[int, str]]
    refusals: Sequence[int] = ()
    body: str = ""
    needs_token: bool = True


_ALWAYS = (400, 405, 408, 413, 429, 431, 500, 503, 504)
_TOKEN = (401, 403, 404, 406)
_WRITE = (412, 507)
_AUDIO = ((200, "audio"), (206, "audio"), (304, ""))
_LIST = (*_LIST_PARAMETERS,)

FACTS: Mapping[Operation, Facts] = {
    Operation.LIST_MEDIA: Facts((*_FILTER_PARAMETERS, *_LIST), [(200, "MediaListEnvelope")]),
    Operation.CREATE_MEDIA: Facts(
        ("accept", "pretty_print"), [(201, "DocumentEnvelope")], (409, 412, 415, 507), "create"
    ),
    Operation.GET_MEDIA: Facts(
        ("accept", "pretty_print", *_AUDIO_PARAMETERS),
        [(200, "DocumentEnvelope"), *_AUDIO],
        (412, 416),
    ),
    Operation.UPDATE_MEDIA: Facts(
        (
            "accept",
            "pretty_print",
            "verb",
            "filename",
            "preset",
            "hard_delete",
            "if_match",
            "if_unmodified_since",
            "transfer_encoding",
        ),
        [(200, "DocumentEnvelope")],
        (409, 415, *_WRITE),
        "update",
    ),
    Operation.PATCH_MEDIA: Facts(
        ("accept", "pretty_print", "if_match", "if_unmodified_since"),
        [(200, "DocumentEnvelope")],
        (409, 415, *_WRITE),
        "patch",
    ),
    Operation.DELETE_MEDIA: Facts(
        ("accept", "pretty_print", "hard_delete", "if_match", "if_unmodified_since"),
        [(200, "DocumentEnvelope")],
        _WRITE,
        "delete",
    ),
    Operation.DOWNLOAD: Facts(("accept", "pretty_print", *_AUDIO_PARAMETERS), _AUDIO, (412, 416)),
    Operation.UPLOAD: Facts(
        (
            *("accept", "pretty_print", "filename", "preset"),
            *("if_match", "if_unmodified_since", "transfer_encoding"),
        ),
        [(200, "DocumentEnvelope")],
        (409, 415, *_WRITE),
        "upload",
    ),
    Operation.GET_PEAKS: Facts(
        ("accept", "pretty_print", "buckets", "rendition", "if_none_match"),
        [(200, "Peaks"), (304, "")],
    ),
    Operation.LIST_PROMPTS: Facts(_LIST, [(200, "CountsEnvelope")]),
    Operation.LIST_TRANSLATIONS: Facts(_LIST, [(200, "IdsEnvelope")]),
    Operation.LIST_LANGUAGES: Facts(_LIST, [(200, "CountsEnvelope")]),
    Operation.LIST_MEDIA_OF_LANGUAGE: Facts(_LIST, [(200, "IdsEnvelope")]),
    Operation.LIST_VOICES: Facts(("accept", "pretty_print"), [(200, "VoicesEnvelope")]),
    Operation.LOG_IN: Facts(
        ("accept", "pretty_print"),
        [(201, "LoginEnvelope")],
        (401, 406),
        "log_in",
        needs_token=False,
    ),
    Operation.LOG_IN_USER: Facts(
        ("accept", "pretty_print"),
        [(201, "LoginEnvelope")],
        (401, 406),
        "log_in_user",
        needs_token=False,
    ),
    Operation.DESCRIBE_API: Facts((), [(200, "description")], needs_token=False),
}


_LISTS = ("MediaListEnvelope", "CountsEnvelope", "IdsEnvelope", "VoicesEnvelope")


def success_answer(status: int, names: Sequence[str]) -> Schema:
    """Return the answer of a successful request, with all its possible bodies."""
    content: dict[str, Any] = {}
    for name in names:
        if name == "audio":
            content |= {"audio/*": {}, "video/*": {}}
        elif name == "description":
            content[JSON] = {"schema": {"type": "object", "required": ["openapi", "paths"]}}
        elif name:
            content[JSON] = {"schema": reference("schemas", name)}
            content |= {CSV: {}} if name in _LISTS else {}
    about = {201: "Created", 206: "A part of the audio", 304: "Not modified"}
    answer: Schema = {"description": about.get(status, "Success")}
    if content:
        answer["content"] = content
    headers: Schema = {}
    if status == 201 and "DocumentEnvelope" in names:
        headers["Location"] = {"schema": _TEXT, "required": True}
    if status == 206:
        headers["Content-Range"] = {"schema": _TEXT, "required": True}
    return answer | ({"headers": headers} if headers else {})


def refusals_of(facts: Facts) -> list[int]:
    """Return the HTTP statuses of all errors of an operation."""
    return sorted({*_ALWAYS, *facts.refusals, *(_TOKEN if facts.needs_token else ())})
