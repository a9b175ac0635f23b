"""Counts the slow hashes that log-ins cost."""

from __future__ import annotations

import hashlib

import pytest


def count_hashes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list that gets the salt of every slow hash from now on."""
    hashes: list[bytes] = []
    original = hashlib.scrypt

    def scrypt(password: bytes, *, salt: bytes, n: int, r: int, p: int) -> bytes:
        hashes.append(salt)
        return original(password, salt=salt, n=n, r=r, p=p)

    monkeypatch.setattr("kazoo_media.access.users.hashlib.scrypt", scrypt)
    return hashes
