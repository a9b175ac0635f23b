"""Compares what the service has at the end with what was sent to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from kazoo_media.client import (
    Client,
    DownloadContentRequest,
    MediaServiceError,
    RenditionKind,
    UploadState,
)
from tests.support.confined_product import ConfinedProduct
from tests.support.product import Product
from tests.torture.file_verdict import FileJudge
from tests.torture.ledger import Ledger

_OPEN = (
    UploadState.UPLOAD_STATE_RECEIVING,
    UploadState.UPLOAD_STATE_PAUSED,
    UploadState.UPLOAD_STATE_INTERRUPTED,
    UploadState.UPLOAD_STATE_COMMITTING,
)


async def judge(
    client: Client, account_id: str, ledger: Ledger, progress: Callable[[], None]
) -> int:
    """Compare every recording; note what differs, and return the compared bytes.

    Recordings whose recorders went without a finish are ended first. Nothing may be open then.

    Args:
        progress: Called after each recording.
    """
    compared_bytes = 0
    for call, media_id in ledger.finished:
        content = await _content(client, account_id, media_id)
        compared_bytes += len(content)
        _note(ledger, call.difference(content))
        progress()
    for call in ledger.left:
        acknowledged = ledger.acknowledged(call.upload_id)
        try:
            answer = await client.finish_upload(account_id, call.upload_id, keep=True)
            content = await _content(client, account_id, answer.media.id)
        except MediaServiceError as error:
            if error.reason != "UPLOAD_NOT_FOUND":
                ledger.problems.append(f"{call.upload_id} cannot be ended: {error}")
                continue
            content = b""
        compared_bytes += len(content)
        ledger.lost_bytes += max(0, acknowledged - len(content))
        _note(ledger, call.difference_of_start(content, acknowledged))
        progress()
    files = FileJudge(client, account_id, ledger)
    await files.judge(progress)
    async for upload in client.list_uploads(account_id, _OPEN):
        if await files.discard_unknown(upload):
            continue
        state = UploadState.Name(upload.state)
        ledger.problems.append(f"{upload.upload_id} is stuck in {state}: {upload.error}")
    return compared_bytes + files.compared_bytes


def check_files(product: Product) -> list[str]:
    """Return what `kazoo-media fsck` finds in the folder of the stopped product. Blocks."""
    command = [sys.executable, "-m", "kazoo_media", "fsck", "--digests"]
    if isinstance(product, ConfinedProduct):
        command = product.inside(*command)
    ran = subprocess.run(
        command,
        env={**os.environ, "KAZOO_MEDIA_DATA_DIR": product.variables["data_dir"]},
        capture_output=True,
        text=True,
        check=False,
    )
    *_, last = ran.stdout.splitlines() or [""]
    counts = last.split()
    if ran.returncode or len(counts) != 6 or counts[3:5] != ["0", "0"]:
        return [f"kazoo-media fsck:\n{ran.stdout}{ran.stderr}"]
    return []


async def _content(client: Client, account_id: str, media_id: str) -> bytes:
    """Return the samples of a WAV."""
    if not media_id:  # nothing had arrived
        return b""
    original = RenditionKind.RENDITION_KIND_ORIGINAL
    request = DownloadContentRequest(account_id=account_id, media_id=media_id, rendition=original)
    async with client.download_stream(request) as download:
        whole = b"".join([data async for data in download])
    at = whole.index(b"data") + 8
    size_bytes = int.from_bytes(whole[at - 4 : at], "little")
    return whole[at : at + size_bytes]


def _note(ledger: Ledger, difference: str) -> None:
    if difference:
        ledger.problems.append(difference)
