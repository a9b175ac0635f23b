"""The keys of a recording's document that recorders send as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NUMBER = re.compile(r"[0-9]{1,18}")
"""A whole number that every part of the service can store exactly."""

_NUMBER_KEYS = ("duration", "start")


def with_numbers(sent: Mapping[str, str]) -> dict[str, Any]:
    """Return the keys of a document; times are integers unless they have another form."""
    numbers = {key: int(sent[key]) for key in _NUMBER_KEYS if NUMBER.fullmatch(sent.get(key, ""))}
    return {**sent, **numbers}
