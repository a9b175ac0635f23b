"""Content types of request bodies."""

from __future__ import annotations

FORM = "application/x-www-form-urlencoded"
JSON_TYPES = ("application/json", "application/x-json")
BASE64_TYPES = ("application/base64", "application/x-base64")


def essence(content_type: str) -> str:
    """Return a MIME type without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()
