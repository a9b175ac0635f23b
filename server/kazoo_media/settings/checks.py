"""Checks of the values of settings: each returns what is wrong with a value, or None."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kazoo_media.audio.programs.sox_arguments import parse_arguments


def between(low: int, high: int) -> Callable[[Any], str | None]:
    """Return the check of a number."""
    return lambda value: None if low <= value <= high else f"must be {low} to {high}"


def one_of(*permitted: str) -> Callable[[Any], str | None]:
    """Return the check of a text that has few values."""
    return lambda value: None if value in permitted else f"must be one of {', '.join(permitted)}"


def arguments(value: str) -> str | None:
    """Check the arguments of sox."""
    try:
        parse_arguments(value)
    except ValueError as error:
        return str(error)
    return None


def url(value: str) -> str | None:
    """Check a URL."""
    is_url = re.fullmatch(r"https?://[^\s/]+(/\S*)?", value)
    return None if is_url else "must be a URL that begins with http:// or https://"


def base_url(value: str) -> str | None:
    """Check a URL without a query that a path follows; it may be empty."""
    is_base = not value or re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value)
    return None if is_base else "must be a URL without a query, or empty"


def account_ids(value: Mapping[str, object]) -> str | None:
    """Check an object of account ids by names."""
    for name, account_id in value.items():
        if not name.strip():
            return "must not contain empty names"
        if not isinstance(account_id, str) or not re.fullmatch("[0-9a-f]{32}", account_id):
            return f"must have an id of 32 lower-case hex digits for {name!r}, not {account_id!r}"
    return None


def languages(value: Mapping[str, object]) -> str | None:
    """Check an object of languages by languages."""
    for language, other in value.items():
        if not language.strip() or not isinstance(other, str) or not other.strip():
            return f"must have languages, not {language!r}: {other!r}"
    return None
