"""Compares the recordings that were sent over HTTP with what the service has at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from kazoo_media.client import (
    Client,
    DownloadContentRequest,
    ListMediaRequest,
    MediaServiceError,
    MediaSource,
    Upload,
)
from tests.torture.files import PutFile, TusUpload
from tests.torture.ledger import Ledger


class FileJudge:
    """Notes in a ledger what differs.

    Attributes:
        compared_bytes: The size of all recordings that were compared.
    """

    def __init__(self, client: Client, account_id: str, ledger: Ledger) -> None:
        self._client = client
        self._account_id = account_id
        self._ledger = ledger
        self.compared_bytes = 0

    async def judge(self, progress: Callable[[], None]) -> None:
        """Compare everything; end what is unfinished, and what nobody knows of.

        Args:
            progress: Called after each recording.
        """
        for upload in self._ledger.tus:
            await self._judge_tus(upload)
            progress()
        recordings = await self._recordings()
        for put in self._ledger.puts:
            await self._judge_put(put, recordings.get(put.name, []))
            progress()
        for name in {each.file.name for each in self._ledger.tus} | {
            each.name for each in self._ledger.puts
        }:
            if (count := len(recordings.get(name, []))) > 1:
                self._ledger.problems.append(f"{name} is the name of {count} recordings")

    async def discard_unknown(self, upload: Upload) -> bool:
        """Discard an upload that no recorder knows of; return whether it was one.

        A worker that died had begun it: for a file that did not arrive whole, or for the URL of an
        upload by tus, which got lost. Neither has bytes.
        """
        is_file = upload.upload_id.startswith("file-")
        known = {each.upload_id for each in self._ledger.tus}
        is_lost_url = upload.upload_id.startswith("tus-") and upload.upload_id not in known
        if not (is_file or is_lost_url) or upload.persisted_size:
            return False
        await self._client.finish_upload(self._account_id, upload.upload_id, keep=False)
        return True

    async def _judge_tus(self, upload: TusUpload) -> None:
        acknowledged = self._ledger.acknowledged(upload.upload_id)
        content = b""
        try:
            found = await self._client.get_upload(self._account_id, upload.upload_id)
            media_id = found.media_id
            if not upload.is_finished:
                ended = await self._client.finish_upload(
                    self._account_id, upload.upload_id, keep=True
                )
                media_id = ended.media.id
            content = await self._content(media_id)
        except MediaServiceError as error:
            self._ledger.problems.append(f"{upload.file.name}, {upload.upload_id}: {error}")
        if len(content) < acknowledged:
            self._ledger.lose(upload.upload_id, acknowledged, len(content))
        sent = upload.file.data()
        if content != (sent if upload.is_finished else sent[: len(content)]):
            self._ledger.problems.append(f"{upload.file.name} has other bytes than were sent")

    async def _judge_put(self, put: PutFile, media_ids: list[str]) -> None:
        may_be = {each.digest() for each in put.unanswered}
        if put.acknowledged is not None:
            may_be.add(put.acknowledged.digest())
            if not media_ids:
                self._ledger.lose(put.name, len(put.acknowledged.data()), 0)
        for media_id in media_ids:
            digest = hashlib.sha256(await self._content(media_id)).hexdigest()
            if digest not in may_be:
                self._ledger.problems.append(f"{put.name} has other bytes than were sent")

    async def _recordings(self) -> dict[str, list[str]]:
        """Return the ids of all recordings by their names."""
        request = ListMediaRequest(
            account_id=self._account_id, media_source=MediaSource.MEDIA_SOURCE_RECORDING
        )
        found: dict[str, list[str]] = {}
        async for media in self._client.list_media(request):
            found.setdefault(media.name, []).append(media.id)
        return found

    async def _content(self, media_id: str) -> bytes:
        request = DownloadContentRequest(account_id=self._account_id, media_id=media_id)
        async with self._client.download_stream(request) as download:
            content = b"".join([data async for data in download])
        self.compared_bytes += len(content)
        return content
