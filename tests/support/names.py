"""Names for tests that share a service: no two accounts have one name."""

from __future__ import annotations

import secrets


def unique_name(base: str) -> str:
    """Return a name that no other account has."""
    return f"{base} {secrets.token_hex(8)}"
