"""Page sizes and page tokens.

A token is the first id of its page, so rows may be added and removed between two pages.
"""

from __future__ import annotations

import base64
import binascii

from kazoo_media.errors import BadRequestError
from kazoo_media.rpc.fields import not_negative

_DEFAULT_ROWS = 50
_MAX_ROWS = 1000


def rows_of(page_size: int) -> int:
    """Return the number of rows of a page: the default for 0, and at most the maximum.

    Raises:
        ValidationError: the page size is negative.
    """
    return min(not_negative("page_size", page_size) or _DEFAULT_ROWS, _MAX_ROWS)


def page_token(next_start: str | None) -> str:
    """Return the token of the page that starts at an id; "" if there are no more pages."""
    if next_start is None:
        return ""
    return base64.urlsafe_b64encode(next_start.encode()).decode().rstrip("=")


def start_of(token: str) -> str:
    """Return the first id of a token's page; "" for the first page.

    Raises:
        BadRequestError: this service did not issue the token.
    """
    try:
        padded = token + "=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(
            "page_token is invalid: send a next_page_token, or none for the first page"
        ) from error
