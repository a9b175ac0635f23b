"""Ids in requests and answers.

An id in a request is always percent-decoded twice: `fr-fr%2Fvm-x` and `fr-fr%252Fvm-x` are equal.

Source: Kazoo cb_context.erl, path_token.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import quote, unquote

from kazoo_media.crossbar.limits import check_length
from kazoo_media.errors import ValidationError, Violation

_TERM_VERSION = 131
_TERM_BINARY = 109


def decoded(identifier: str, field: str = "id") -> str:
    """Return an id after its second decoding; the transcoder or the query parser did the first.

    Raises:
        ValidationError: the id is not UTF-8 or has a NUL.
    """
    try:
        identifier = unquote(identifier, errors="strict") if "%" in identifier else identifier
    except UnicodeDecodeError as error:
        raise _invalid(field, "must be UTF-8") from error
    if "\0" in identifier:
        raise _invalid(field, "must not contain NUL")
    return identifier


def twice_decoded(identifier: str) -> str:
    """Return an id from a JSON body, which was not decoded before.

    Raises:
        ValidationError: the id is too long, is not UTF-8, or has a NUL.
    """
    check_length("id", identifier)
    return decoded(decoded(identifier))


def start_key(key: str) -> str:
    """Return the id in a start key: plain, or in Kazoo's form, base64url of an Erlang binary term.

    Raises:
        ValidationError: the id is not UTF-8 or has a NUL.
    """
    try:
        term = base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_", validate=True)
        if term[:2] == bytes([_TERM_VERSION, _TERM_BINARY]):
            size = int.from_bytes(term[2:6])
            if len(term) == 6 + size:
                return decoded(term[6:].decode(), "start_key")
    except (binascii.Error, ValueError):
        pass  # a plain key
    return decoded(key, "start_key")


def written(media_id: str, *, prompt: bool) -> str:
    """Return an id as in JSON answers: a prompt's has `%2F`, as on Kazoo's published page."""
    return media_id.replace("/", "%2F") if prompt else media_id


def location(account_id: str, media_id: str) -> str:
    """Return the path of a media.

    Args:
        account_id: "": the system scope.
    """
    scope = f"/accounts/{account_id}" if account_id else ""
    name = quote(media_id, safe="")
    if name in {".", ".."}:  # the gateway would resolve it as a path segment
        name = name.replace(".", "%252E")
    return f"/v2{scope}/media/{name}"


def _invalid(field: str, message: str) -> ValidationError:
    return ValidationError([Violation(field, "invalid", message, {})])
