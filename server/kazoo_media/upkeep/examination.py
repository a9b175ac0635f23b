"""The examination of one live blob: is it what was committed?"""

from __future__ import annotations

import asyncio
import enum
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kazoo_media.blobs.store import BlobReader
from kazoo_media.errors import StoreUnavailableError
from kazoo_media.model import BlobRow


class FindingKind(enum.StrEnum):
    """What is wrong with a blob."""

    MISSING = "missing"
    WRONG_SIZE = "wrong size"
    WRONG_DIGEST = "wrong digest"
    UNREADABLE = "unreadable"
    ORPHAN = "file without a row"
    LEFTOVER = "unpublished leftover"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between the stores.

    Attributes:
        account_id: Empty if there is no row.
        expected: The value of the row, as text; empty if there is no row.
        actual: The value of the blob store, as text; empty if there is no file.
        media_id: Whose audio is lost or damaged; empty if no live media has the blob.
    """

    kind: FindingKind
    key: str
    account_id: str = ""
    expected: str = ""
    actual: str = ""
    media_id: str = ""


async def _at_once(_: int) -> None:
    pass


async def examine(
    row: BlobRow,
    reader: BlobReader | None,
    *,
    read_digest: bool = True,
    after_bytes: Callable[[int], Awaitable[None]] = _at_once,
) -> Finding | None:
    """Return what is wrong with a live blob, or None. The reader is closed.

    Args:
        reader: None: the blob is missing.
        read_digest: Whether to read the blob; otherwise only its size is compared.
        after_bytes: Called with the number of bytes after each read; it may wait.
    """
    if reader is None:
        return _finding(FindingKind.MISSING, row, f"{row.size_bytes} bytes", "")
    async with reader:
        if reader.size_bytes != row.size_bytes:
            expected, actual = f"{row.size_bytes} bytes", f"{reader.size_bytes} bytes"
            return _finding(FindingKind.WRONG_SIZE, row, expected, actual)
        if not read_digest:
            return None
        digest = hashlib.sha256()
        try:
            async for chunk in reader.read(0, reader.size_bytes):
                await asyncio.to_thread(digest.update, chunk)
                await after_bytes(len(chunk))
        except StoreUnavailableError:
            return _finding(FindingKind.UNREADABLE, row, row.sha256 or "", "")
    if digest.hexdigest() == row.sha256:
        return None
    return _finding(FindingKind.WRONG_DIGEST, row, row.sha256 or "", digest.hexdigest())


def _finding(kind: FindingKind, row: BlobRow, expected: str, actual: str) -> Finding:
    return Finding(kind, row.key, row.account_id, expected, actual)
