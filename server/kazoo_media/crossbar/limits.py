"""How much a request may have outside of its document.

Each limit is far more than clients send, and little enough to be parsed on the event loop.
"""

from __future__ import annotations

from collections.abc import Mapping

from kazoo_media.documents.violations import too_many
from kazoo_media.errors import ValidationError

PARAMETERS_LIMIT = 5_000
"""Maximum number of parameters in a query, and of fields in a form."""

PARAMETER_CHARACTERS = 16 * 1024
"""Maximum length of a parameter in the body, and of a header that has a grammar."""

FORM_BYTES = 256 * 1024
"""Maximum size of a form, which has parameters only."""

PARTS_LIMIT = 100
"""Maximum number of parts in a multipart body."""

_PARSED_HEADERS = {"accept", "if-match", "if-none-match", "range", "x-rest-content-type"}


def check_parameters(field: str, text: str) -> None:
    """Check the number of parameters in a query or form.

    Raises:
        ValidationError: there are too many.
    """
    number = text.count("&") + 1
    if number > PARAMETERS_LIMIT:
        raise ValidationError([too_many(field, "parameters", number, PARAMETERS_LIMIT)])


def check_headers(headers: Mapping[str, str]) -> None:
    """Check the length of the headers that are parsed.

    Raises:
        ValidationError: one is too long.
    """
    for name in _PARSED_HEADERS & headers.keys():
        check_length(name.removeprefix("x-rest-"), headers[name])


def check_length(name: str, text: str) -> None:
    """Check the length of a header or parameter.

    Raises:
        ValidationError: it is too long.
    """
    if len(text) > PARAMETER_CHARACTERS:
        raise ValidationError([too_many(name, "characters", len(text), PARAMETER_CHARACTERS)])
