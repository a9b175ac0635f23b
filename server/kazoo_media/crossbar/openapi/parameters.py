"""The parameters of the operations in the OpenAPI description."""

from __future__ import annotations

from collections.abc import Mapping

from kazoo_media.crossbar.openapi.schemas import Schema, reference
from kazoo_media.media.resolution import MOST_LANGUAGE_CHARACTERS
from kazoo_media.media.waveforms import DEFAULT_BUCKETS, MOST_BUCKETS

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
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
        {
            "type": "object",
            "propertyNames": {"pattern": "^filter_(not_)?[a-z]"},
            "additionalProperties": _TEXT,
        },
        style="form",
        explode=True,
        example={"filter_language": "en-us"},
    ),
    "has_key": _query("Only media that have these keys", _KEYS),
    "key_missing": _query("Only media that lack these keys", _KEYS),
    "has_value": _query("Only media in which these keys have a value", _KEYS),
    "value_missing": _query("Only media in which these keys have no value", _KEYS),
    "created_from": _query(f"Only media created at this time or later, {_GREGORIAN}", _SECONDS),
    "created_to": _query(f"Only media created at this time or earlier, {_GREGORIAN}", _SECONDS),
    "modified_from": _query(f"Only media changed at this time or later, {_GREGORIAN}", _SECONDS),
    "modified_to": _query(f"Only media changed at this time or earlier, {_GREGORIAN}", _SECONDS),
    "descending": _query("`true`: descending order of ids", _FLAG),
    "deleted": _query("`true`: deleted media, which can be restored, instead of live ones", _FLAG),
    "paginate": _query("`false`: all rows in one answer", _FLAG),
    "page_size": _query(
        "Maximum number of rows; default: the setting crossbar.pagination_page_size",
        {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    ),
    "start_key": _query("The `next_start_key` of the previous page", _TEXT),
    "recording_fields": _query(
        "Keys of the document, for example `call_id`, `from`, `to`",
        {"type": "object", "additionalProperties": _TEXT},
        style="form",
        explode=True,
    ),
    "accept": _query("Used instead of the header Accept", _TEXT),
    "hard_delete": _query(
        "`true`: document and audio are removed for good, and the id can be used again", _FLAG
    ),
    "filename": _query(
        "Name of the file: stored with an upload, where it also gives the type of raw audio;"
        " suggested for saving a download",
        _TEXT,
    ),
    "preset": _query(
        "How to normalize the audio, even if normalization is off; default: the setting"
        " media.normalize_preset",
        reference("schemas", "Preset"),
    ),
    "buckets": _query(
        f"Maximum number of buckets of the waveform; default: {DEFAULT_BUCKETS}",
        {"type": "integer", "minimum": 1, "maximum": MOST_BUCKETS},
    ),
    "rendition": _query(
        "The rendition to use, regardless of Accept", reference("schemas", "RenditionKind")
    ),
    "language": _query(
        "Language of the caller, in any case; default: the setting media.default_language",
        {"type": "string", "maxLength": MOST_LANGUAGE_CHARACTERS},
    ),
    "format": _query("Extension of the format that the audio must have, for example `mp3`", _TEXT),
    "redirect": _query(
        "`true`: 302 to a link, which is valid for an hour, instead of audio", _FLAG
    ),
    "version": _query(
        "The number of an earlier content, instead of the present one",
        {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    ),
    "inline": _query("`true`: Content-Disposition is inline instead of attachment", _FLAG),
    "auth_token": _query("A token, where no header can be sent: an audio element, a link", _TEXT),
    "key": _query("A playback key, instead of a token", _TEXT),
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
    "tus_resumable": {**_header("Tus-Resumable", "Always `1.0.0`"), "required": True},
    "upload_length": _header("Upload-Length", "Number of bytes of the whole upload"),
    "upload_defer_length": _header("Upload-Defer-Length", "`1`: a later PATCH has the length"),
    "upload_metadata": _header(
        "Upload-Metadata",
        "Pairs of a key and a base64 text: `name`, `type`, `sha256`, and keys of the document",
    ),
    "upload_offset": _header("Upload-Offset", "Where the bytes begin: where the upload goes on"),
    "transfer_encoding": _header("Content-Transfer-Encoding", "`base64`: the body is base64 text"),
}
"""Query parameters and headers. A header names itself."""


def _path(about: str, schema: Schema) -> Schema:
    return {"in": "path", "required": True, "description": about, "schema": schema}


_NOT_EMPTY: Schema = {"type": "string", "minLength": 1}
PATH_PARAMETERS: Mapping[str, Schema] = {
    "account_id": _path(
        "Id of the account: `account_id` in the answer to the log-in",
        {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"},
    ),
    "media_id": _path("Id of the media, as answers have it", _NOT_EMPTY),
    "recording_id": _path(
        "Id of the recording: year, month, `-` and 32 hex digits",
        {"type": "string", "pattern": "^[0-9]{6}-[0-9a-f]{32}$"},
    ),
    "file_name": _path("Name of the file", {"type": "string", "minLength": 1, "maxLength": 255}),
    "upload_id": _path("Id of the upload, from the Location of its creation", _NOT_EMPTY),
    "user_id": _path("Id of the user", _NOT_EMPTY),
    "name": _path(
        "Any file name with an extension, which chooses between renditions",
        {"type": "string", "pattern": r"^.+\.[A-Za-z0-9]+$"},
    ),
    "file": _path(
        "Any file name with the extension of the wanted format, for example `audio.mp3`",
        {"type": "string", "pattern": r"^.+\.[A-Za-z0-9]+$"},
    ),
    "prompt_id": _path("Id of the prompt", _NOT_EMPTY),
    "language": _path("The language, or `missing`", _NOT_EMPTY),
}
