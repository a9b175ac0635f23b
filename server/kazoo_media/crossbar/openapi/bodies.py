"""The request bodies in the OpenAPI description."""

from __future__ import annotations

from collections.abc import Mapping

from kazoo_media.access.users import METHODS
from kazoo_media.audio.formats import UNTYPED
from kazoo_media.crossbar.answers import JSON
from kazoo_media.crossbar.openapi.examples import REQUESTS
from kazoo_media.crossbar.openapi.schemas import BINARY, Schema, documented, reference
from kazoo_media.documents.rules import MEDIA_ID_LIMIT
from kazoo_media.documents.schema import RULES
from kazoo_media.media.links import MOST_LIFETIME_S

_OTHER_KEYS = "Other keys are stored as well, except those that start with `_` or `pvt_`"
_DATA: Mapping[str, str] = {
    "create": "NewMedia",
    "update": "NewMedia",
    "patch": "MediaChanges",
    "link": "LinkRequest",
    "restore": "RestoreRequest",
    "log_in": "Credentials",
    "log_in_user": "UserCredentials",
}
"""The schema of `data` in each JSON body."""


def bodies() -> dict[str, Schema]:
    """Return all request bodies by name."""
    # The text of the operation names all other types: generators know or send only one.
    audio: Schema = {UNTYPED[0]: {"schema": BINARY}}
    documents = {
        name: {
            JSON: {
                "schema": reference("schemas", f"{data}Envelope"),
                "example": {"data": REQUESTS[name]},
            }
        }
        for name, data in _DATA.items()
    }
    return {
        name: {"required": True, "content": content}
        for name, content in {**documents, "upload": audio}.items()
    }


def request_schemas() -> dict[str, Schema]:
    """Return the schemas of all requests, by name."""
    data = {
        "NewMedia": _new_media(),
        "MediaChanges": _media_changes(),
        "LinkRequest": _link_request(),
        "RestoreRequest": _restore_request(),
        "Credentials": _credentials(),
        "UserCredentials": _user_credentials(),
    }
    envelopes = {
        f"{name}Envelope": {
            "type": "object",
            "properties": {"data": reference("schemas", name)},
            "required": ["data"],
        }
        for name in data
    }
    return data | envelopes


def _new_media() -> Schema:
    chosen: Schema = {
        "type": "string",
        "description": "The id to create it with; without it the service chooses one",
        "minLength": 1,
        "maxLength": MEDIA_ID_LIMIT,
        "pattern": r"^[^%\u0000]*$",
    }
    known = {key: documented(rule) for key, rule in RULES.items()}
    return {
        "type": "object",
        "description": _OTHER_KEYS,
        "properties": {**known, "id": chosen},
        "required": ["name"],
        "additionalProperties": True,
    }


def _media_changes() -> Schema:
    known = {key: documented(rule) for key, rule in RULES.items()}
    return {
        "type": "object",
        "description": f"Null removes a key. {_OTHER_KEYS}",
        "properties": {key: _removable(schema) for key, schema in known.items()},
        "additionalProperties": True,
    }


def _removable(schema: Schema) -> Schema:
    """Return the schema of a value or null."""
    if "enum" in schema:  # generators make a class of an enum, which has no room for null
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def _link_request() -> Schema:
    lifetime: Schema = {
        "type": "integer",
        "description": "Seconds until the link ends; absent: it ends with its audio",
        "minimum": 1,
        "maximum": MOST_LIFETIME_S,
    }
    kind = reference("schemas", "RenditionKind")
    return {"type": "object", "properties": {"rendition": kind, "lifetime_s": lifetime}}


def _restore_request() -> Schema:
    version: Schema = {
        "type": "integer",
        "description": "The earlier content to put back; absent: the media was deleted",
        "minimum": 1,
    }
    return {"type": "object", "properties": {"version": version}}


def _credentials() -> Schema:
    key: Schema = {
        "type": "string",
        "description": "The API key of the account",
        "minLength": 64,
        "maxLength": 64,
    }
    return {"type": "object", "properties": {"api_key": key}, "required": ["api_key"]}


def _user_credentials() -> Schema:
    properties: Schema = {
        "credentials": {"type": "string", "description": "Hex digest of `NAME:PASSWORD`"},
        "method": {
            "type": "string",
            "description": f"The digest that was used; default: {METHODS[0]}",
            "enum": list(METHODS),
        },
        "account_name": {"type": "string", "description": "Name of the account"},
        "account_realm": {"type": "string", "description": "Realm of the account"},
    }
    return {"type": "object", "properties": properties, "required": ["credentials"]}
