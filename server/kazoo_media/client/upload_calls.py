"""The calls for recordings that run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

from kazoo_media.client.appending import append_all
from kazoo_media.client.channels import Channels
from kazoo_media.client.connection import Connection
from kazoo_media.client.file_source import FileSource
from kazoo_media.client.recorder import Recorder
from kazoo_media.client.spool import SpooledUpload
from kazoo_media.client.spool_writer import SpoolWriter
from kazoo_media.client.tailing import tail_all
from kazoo_media.client.uploads import Progress, no_progress
from kazoo_media.v1 import upload_service_pb2 as pb
from kazoo_media.v1 import upload_service_pb2_grpc
from kazoo_media.v1.media_pb2 import Media


class UploadCalls:
    """Recordings, and uploads that go on where they were interrupted."""

    _connection: Connection
    _uploads: upload_service_pb2_grpc.UploadServiceAsyncStub
    _channels: Channels
    _spool_writer: SpoolWriter

    def recorder(
        self, account_id: str, upload_id: str, spec: pb.UploadSpec, spool_folder: Path
    ) -> Recorder:
        """Return a recorder; `async with` starts it.

        Args:
            upload_id: An id that a restarted recorder finds again, for example the call's: 1 to 128
                letters, digits and `-_.`.
            spool_folder: Recordings of all processes of a machine may share it. `spooled_uploads`
                lists what killed ones have left there.
        """
        upload = SpooledUpload(account_id, upload_id, spec)
        return Recorder(self._connection, self._channels, self._spool_writer, upload, spool_folder)

    async def upload_recording(
        self,
        account_id: str,
        upload_id: str,
        spec: pb.UploadSpec,
        file: Path,
        progress: Progress = no_progress,
    ) -> Media | None:
        """Upload a file as a recording, through cuts and restarts of the service.

        The same call after it was cancelled or killed goes on where it was; after its success it
        returns the same recording for a week.

        Args:
            progress: Called with the bytes that are durable.

        Returns:
            The recording; None if the service has discarded it: it was too short or empty.

        Raises:
            MediaServiceError: the service refused for good.
            OSError: the file cannot be read.
        """
        header = pb.AppendUploadRequest.Header(
            account_id=account_id, upload_id=upload_id, spec=spec
        )
        async with FileSource.opened(file, progress) as source:
            last = await append_all(self._connection, self._channels, header, source)
        return last.media if last.HasField("media") else None

    async def get_upload(self, account_id: str, upload_id: str) -> pb.Upload:
        """Return an upload."""
        request = pb.GetUploadRequest(account_id=account_id, upload_id=upload_id)
        return (await self._connection.unary(self._uploads.GetUpload, request)).upload

    async def list_uploads(
        self, account_id: str, states: Sequence[pb.UploadState.ValueType] = ()
    ) -> AsyncIterator[pb.Upload]:
        """Yield the uploads of an account, also those that ended within the last week.

        Args:
            states: Only uploads in one of them; empty: all.
        """
        request = pb.ListUploadsRequest(account_id=account_id, states=states)
        async for page in self._connection.pages(self._uploads.ListUploads, request):
            for upload in page.uploads:
                yield upload

    async def pause_upload(
        self,
        account_id: str,
        upload_id: str,
        mode: pb.PauseMode.ValueType = pb.PAUSE_MODE_SILENCE,
    ) -> pb.Upload:
        """Mask what the service receives of an upload from now on, and return the upload."""
        request = pb.PauseUploadRequest(account_id=account_id, upload_id=upload_id, mode=mode)
        return (await self._connection.unary(self._uploads.PauseUpload, request)).upload

    async def resume_upload(self, account_id: str, upload_id: str) -> pb.Upload:
        """End the mask of `pause_upload` within a second, and return the upload."""
        request = pb.ResumeUploadRequest(account_id=account_id, upload_id=upload_id)
        return (await self._connection.unary(self._uploads.ResumeUpload, request)).upload

    async def finish_upload(
        self, account_id: str, upload_id: str, *, keep: bool, end_reason: str = ""
    ) -> pb.FinishUploadResponse:
        """End an upload whose recorder is gone.

        Args:
            keep: As an incomplete recording; else its bytes are removed.
            end_reason: It becomes a key of the document; "": `finished_by_request`.
        """
        request = pb.FinishUploadRequest(
            account_id=account_id,
            upload_id=upload_id,
            end=pb.FinishUploadRequest.END_KEEP if keep else pb.FinishUploadRequest.END_DISCARD,
            end_reason=end_reason,
        )
        return await self._connection.unary(self._uploads.FinishUpload, request, timed=False)

    async def tail(
        self, account_id: str, upload_id: str, offset_bytes: int = 0
    ) -> AsyncIterator[bytes]:
        """Yield the durable bytes of an upload from an offset on, and follow it until it ends.

        Raw audio comes as WAV: a header first, whose sizes are open. Lost connections and restarts
        of the service only delay what follows.

        Raises:
            MediaServiceError: the service refused, or cannot be reached at the beginning.
        """
        request = pb.TailUploadRequest(
            account_id=account_id, upload_id=upload_id, offset_bytes=offset_bytes
        )
        async with aclosing(tail_all(self._connection, self._uploads, request)) as tail:
            async for data in tail:
                yield data
