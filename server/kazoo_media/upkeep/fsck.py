"""Compare the blob rows of the metadata store with the files of the blob store.

The service may be running. Files are listed before rows, and a row is always written before its
file, so a running upload is not reported. A blob that seems lost is checked a second time.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from kazoo_media.blobs.store import BlobReader, BlobStore, StoredBlob
from kazoo_media.errors import StoreUnavailableError
from kazoo_media.metadata.store import BlobRows
from kazoo_media.model import BlobRow, BlobState

_PAGE_ROWS = 1000


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
    """

    kind: FindingKind
    key: str
    account_id: str = ""
    expected: str = ""
    actual: str = ""


@dataclass(frozen=True, slots=True)
class FsckReport:
    """The result of a check.

    Attributes:
        row_count: Rows in any state.
        live_count: Live rows among them.
        file_count: Files in the blob store, unpublished ones included.
        removed_count: Files without a row that were removed on request.
    """

    row_count: int
    live_count: int
    file_count: int
    removed_count: int
    findings: tuple[Finding, ...]


async def check(
    metadata: BlobRows,
    blobs: BlobStore,
    *,
    read_digests: bool,
    progress: Callable[[int], None],
    remove_orphans: bool = False,
) -> FsckReport:
    """Return all differences between rows and files.

    Args:
        read_digests: Also read every live blob and compare its SHA-256.
        progress: Called with the number of rows checked so far.
        remove_orphans: Remove files without a row, published or not; otherwise nothing is changed.

    Raises:
        MediaError: a store failed.
    """
    files = {(each.key, each.published): each async for each in blobs.list()}
    file_count = len(files)
    findings: list[Finding] = []
    row_count = live_count = 0
    async for row in _rows(metadata):
        published = files.pop((row.key, True), None)
        leftover = files.pop((row.key, False), None)
        if row.state is BlobState.LIVE:
            live_count += 1
            findings += await _check_live(blobs, row, published, read_digests=read_digests)
            if leftover is not None:
                findings.append(_without_row(leftover))
        row_count += 1
        progress(row_count)
    findings += [_without_row(each) for each in files.values()]
    orphans = {key for key, _ in files} if remove_orphans else set()
    for key in orphans:
        await blobs.delete(key)
    return FsckReport(row_count, live_count, file_count, len(orphans), tuple(findings))


async def _rows(metadata: BlobRows) -> AsyncIterator[BlobRow]:
    start = ""
    while rows := await metadata.list_blobs(start, _PAGE_ROWS):
        for row in rows:
            yield row
        start = rows[-1].key


def _without_row(blob: StoredBlob) -> Finding:
    kind = FindingKind.ORPHAN if blob.published else FindingKind.LEFTOVER
    return Finding(kind, blob.key, actual=f"{blob.size_bytes} bytes")


async def _check_live(
    blobs: BlobStore, row: BlobRow, listed: StoredBlob | None, *, read_digests: bool
) -> list[Finding]:
    if listed is not None and listed.size_bytes == row.size_bytes and not read_digests:
        return []
    reader = await blobs.open(row.key)
    if reader is None:
        return [_finding(FindingKind.MISSING, row, f"{row.size_bytes} bytes", "")]
    async with reader:
        if reader.size_bytes != row.size_bytes:
            expected, actual = f"{row.size_bytes} bytes", f"{reader.size_bytes} bytes"
            return [_finding(FindingKind.WRONG_SIZE, row, expected, actual)]
        return await _check_digest(reader, row) if read_digests else []


async def _check_digest(reader: BlobReader, row: BlobRow) -> list[Finding]:
    digest = hashlib.sha256()
    try:
        async for chunk in reader.read(0, reader.size_bytes):
            await asyncio.to_thread(digest.update, chunk)
    except StoreUnavailableError:
        return [_finding(FindingKind.UNREADABLE, row, row.sha256 or "", "")]
    if digest.hexdigest() == row.sha256:
        return []
    return [_finding(FindingKind.WRONG_DIGEST, row, row.sha256 or "", digest.hexdigest())]


def _finding(kind: FindingKind, row: BlobRow, expected: str, actual: str) -> Finding:
    return Finding(kind, row.key, row.account_id, expected, actual)
