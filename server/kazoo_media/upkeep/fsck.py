"""Compare the blob rows of the metadata store with the files of the blob store.

The service may be running. Files are listed before rows, and a row is always written before its
file, so a running upload is not reported. A blob that seems lost is checked a second time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from kazoo_media.blobs.store import BlobStore, StoredBlob
from kazoo_media.content.damage import Damage
from kazoo_media.metadata.store import BlobRows, DamageRows, MetadataStore
from kazoo_media.model import BlobRow, BlobState, unix_time_ms
from kazoo_media.upkeep.examination import Finding, FindingKind, examine

_PAGE_ROWS = 1000
_KEPT_MS = 30 * 24 * 3_600_000


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
    metadata: MetadataStore,
    blobs: BlobStore,
    *,
    read_digests: bool,
    progress: Callable[[int], None],
    remove_orphans: bool = False,
    clock: Callable[[], int] = unix_time_ms,
) -> FsckReport:
    """Return all differences between rows and files.

    Damage that is found, or has gone, is shown in the documents from then on.

    Args:
        read_digests: Read every live blob and compare its SHA-256; otherwise only those that are
            known to be damaged.
        progress: Called with the number of rows checked so far.
        remove_orphans: Remove files without a row, published or not, that are older than 30 days.
            Younger ones may belong to a newer state of a database that was restored.
        clock: Unix time in milliseconds.

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
            read_digest = read_digests or row.is_damaged
            if read_digest or published is None or published.size_bytes != row.size_bytes:
                found = await _check_live(metadata, blobs, row, read_digest=read_digest)
                findings += [found] if found else []
            if leftover is not None:
                findings.append(_without_row(leftover))
        row_count += 1
        progress(row_count)
    findings += [_without_row(each) for each in files.values()]
    before_ms = clock() - _KEPT_MS
    orphans = {
        key for (key, _), blob in files.items() if remove_orphans and blob.modified_ms < before_ms
    }
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
    rows: DamageRows, blobs: BlobStore, row: BlobRow, *, read_digest: bool
) -> Finding | None:
    """Return what is wrong with a live blob; store whether it is damaged if that has changed."""
    finding = await examine(row, await blobs.open(row.key), read_digest=read_digest)
    is_damaged = finding is not None
    if not is_damaged and not row.is_damaged:
        return None
    media_id = await Damage(rows).note_blob(row.account_id, row.key, is_damaged=is_damaged)
    return None if finding is None else replace(finding, media_id=media_id)
