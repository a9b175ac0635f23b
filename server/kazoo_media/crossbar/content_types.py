"""Content types of request bodies."""

from __future__ import annotations

FORM = "application/x-www-form-urlencoded"
JSON_TYPES = ("application/json", "application/x-json")
BASE64_TYPES = ("application/base64", "application/x-base64")
