"""Page sizes and page tokens. A token is the first id of its page: paging holds while rows come and
go.
"""

from __future__ import annotations

import base64
import binascii

from kazoo_media.errors import BadRequestError
from kazoo_media.rpc.fields import not_negative

_DEFAULT_ROWS = 50
_MOST_ROWS = 1000


def rows_of(page_size: int) -> int:
    """Return how many rows a page has: 0 asks for the default, more than the most for the most.

    Raises:
        ValidationError: it is negative.
    """
    return min(not_negative("page_size", page_size) or _DEFAULT_ROWS, _MOST_ROWS)


def page_token(next_start: str | None) -> str:
    """Return the token of the page that starts at an id, "" when there is no such page."""
    if next_start is None:
        return ""
    return base64.urlsafe_b64encode(next_start.encode()).decode().rstrip("=")


def start_of(token: str) -> str:
    """Return the id that a token's page starts at, "" for the first page.

    Raises:
        BadRequestError: it is none of ours.
    """
    try:
        padded = token + "=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(
            "page_token is not one that this service made: start with an empty one"
        ) from error
