"""`Recorder`: a recording that runs while the call runs, and reaches the service in any case."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc
from google.protobuf.json_format import ParseDict

from kazoo_media.client.appending import append_all
from kazoo_media.client.backlog import Backlog, frame_bytes
from kazoo_media.client.channels import Channels
from kazoo_media.client.connection import Connection
from kazoo_media.client.errors import MediaServiceError
from kazoo_media.client.spool import Mark, Spool, SpooledUpload
from kazoo_media.client.spool_writer import SpoolWriter
from kazoo_media.v1.media_pb2 import Media
from kazoo_media.v1.upload_service_pb2 import (
    PAUSE_MODE_SILENCE,
    AppendUploadRequest,
    AppendUploadResponse,
    PauseMode,
)

_log = logging.getLogger(__name__)


class RecordingRefusedError(MediaServiceError):
    """The service refused a recording, and trying again cannot help.

    Attributes:
        spool: The folder with everything that the service has not acknowledged. It stays.
    """

    def __init__(self, error: MediaServiceError, spool: Path) -> None:
        message = f"{error.message}; what the service does not have is in {spool}"
        super().__init__(error.code, error.reason, message, error.metadata, error.violations)
        self.request_id = error.request_id
        self.spool = spool


class Recorder:
    """One recording. `Client.recorder` makes it.

    Usage:
        spec = UploadSpec(
            media=Media(name="Call 4711"),
            raw=RawAudio(encoding="RAW_ENCODING_MULAW", sample_rate_hertz=8000, channel_count=1),
        )
        async with client.recorder(account_id, "call-4711", spec, Path("spool")) as recorder:
            async for audio in call:
                recorder.write(audio)
            media = await recorder.finish()

    What is written goes to the spool within a fifth of a second and to the service as soon as it
    can be reached. Lost connections, restarts and full disks of the service only delay it. A
    process that is killed loses the last fifth of a second: a recorder with the same arguments goes
    on with the spool, and with raw audio the time in between becomes silence. If the block is left
    without `finish`, the recording is interrupted; the same way goes on with it. Leaving the block
    raises OSError if the disk has failed, and bytes or a pause are neither in the spool nor in the
    service.

    A recorder that the service has never answered puts its bytes after what is there, also after
    what another recorder has sent in the meantime. If another one adds bytes later, this one ends
    with RecordingRefusedError.

    `write`, `pause` and `resume` may be called by another thread than the loop's, for example by
    that of a SIP library, but only by one at a time.
    """

    def __init__(
        self,
        connection: Connection,
        channels: Channels,
        writer: SpoolWriter,
        upload: SpooledUpload,
        spool_folder: Path,
    ) -> None:
        """Use `Client.recorder`."""
        self._connection = connection
        self._channels = channels
        self._writer = writer
        self._upload = upload
        self._folder = spool_folder

    async def __aenter__(self) -> Self:
        raw = self._upload.spec.raw if self._upload.spec.HasField("raw") else None
        self._spool = await asyncio.to_thread(Spool, self._folder, self._upload, frame_bytes(raw))
        self._backlog = Backlog(self._spool, raw, self._writer.wake)
        self._writer.add(self._backlog)
        self._appending = asyncio.get_running_loop().create_task(self._append())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._appending.cancel()
        try:
            await asyncio.gather(self._appending, return_exceptions=True)
        finally:
            try:
                await self._writer.remove(self._backlog)
            finally:
                loss = self._backlog.loss
                await asyncio.to_thread(self._spool.close)
        if loss is not None and error is None:
            raise loss
        if loss is not None:
            _log.error("the end of %s is lost: %s", self._spool.folder, loss)

    @property
    def persisted_size(self) -> int:
        """Return how many bytes of the upload are known to be durable in the service."""
        return self._backlog.persisted_size

    @property
    def error(self) -> BaseException | None:
        """Return why the service gets nothing more; None if it does. The spool gets it in any case.

        A recorder that was taken over, for example, may stop.
        """
        is_over = self._appending.done() and not self._appending.cancelled()
        return self._appending.exception() if is_over else None

    def write(self, data: bytes) -> None:
        """Record bytes. Never waits: neither for the network nor for a disk.

        Messages of the service are made of what was written in a fifth of a second, so that bytes
        of single packets cost little.

        Raises:
            OSError: the disk of the spool has failed or is too slow, the service is away as well,
                and 16 MiB are in memory. These bytes are not recorded.
            ValueError: the recording is finished, or `data` has more than 16 MiB.
        """
        self._backlog.put(data)

    def pause(self, mode: PauseMode.ValueType = PAUSE_MODE_SILENCE) -> None:
        """Mask what is written from now on, before it reaches the spool or the service.

        A recorder that goes on after its process was killed is still paused.

        Args:
            mode: With PAUSE_MODE_SKIP the masked range is left out of the finished recording.

        Raises:
            ValueError: the recording is not raw audio.
        """
        self._mark(Mark(pause=mode))

    def resume(self) -> None:
        """End the pause.

        Raises:
            ValueError: the recording is not raw audio.
        """
        self._mark(Mark(resume=True))

    async def drain(self) -> None:
        """Return when most of what was written is on a disk.

        Sources that are faster than real time, such as files, wait here after each `write`.

        Raises:
            RecordingRefusedError: the service refused the recording.
            OSError: the disk of the spool has failed.
        """
        if self._appending.done():
            self._raise_end()
        await self._until_over(self._backlog.drained())

    async def ended(self) -> None:
        """Return when the service gets nothing more, for example because it has refused.

        `finish` says why, without delay.
        """
        await asyncio.wait({self._appending})

    async def flush(self) -> None:
        """Return when everything that was written is durable in the service.

        Raises:
            RecordingRefusedError: the service refused the recording.
            OSError: the disk of the spool has failed.
        """
        await self._until_over(self._backlog.settled())

    async def finish(
        self, end_reason: str = "", extra: Mapping[str, Any] | None = None
    ) -> Media | None:
        """Complete the recording, however long that takes, and remove the spool.

        Nothing can be written afterwards. Part of a sample at the end is left out.

        Args:
            end_reason: Why it ended; at most 128 characters. It becomes a key of the document.
            extra: Further keys of the document.

        Returns:
            The recording; None if the service has discarded it: it was too short or empty.

        Raises:
            RecordingRefusedError: the service refused the recording; the spool stays.
            OSError: the disk of the spool has failed.
        """
        finish = AppendUploadRequest.Finish(end_reason=end_reason)
        if extra:
            ParseDict(dict(extra), finish.extra)
        self._backlog.put_finish(finish)
        last = await asyncio.shield(self._appending)
        await self._writer.remove(self._backlog)  # if others have ended it, some may be in memory
        if last.persisted_size != self._backlog.total_bytes:
            raise self._refused(_ended_before(last.persisted_size))
        try:
            await asyncio.to_thread(self._spool.delete)
        except OSError as error:  # the recording is live: that is what callers must learn
            _log.warning("%s is complete and cannot be removed: %s", self._spool.folder, error)
        return last.media if last.HasField("media") else None

    async def _append(self) -> AppendUploadResponse:
        header = AppendUploadRequest.Header(
            account_id=self._upload.account_id,
            upload_id=self._upload.upload_id,
            spec=self._upload.spec,
        )
        try:
            return await append_all(self._connection, self._channels, header, self._backlog)
        except MediaServiceError as error:
            raise self._refused(error) from error

    async def _until_over(self, waiting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(waiting)
        try:
            await asyncio.wait({task, self._appending}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._raise_end()
        finally:
            task.cancel()

    def _raise_end(self) -> NoReturn:
        last = self._appending.result()
        raise self._refused(_ended_before(last.persisted_size))

    def _mark(self, mark: Mark) -> None:
        if not self._upload.spec.HasField("raw"):
            raise ValueError("only raw audio can be paused")
        self._backlog.put_mark(mark)

    def _refused(self, error: MediaServiceError) -> RecordingRefusedError:
        return RecordingRefusedError(error, self._spool.folder)


def _ended_before(persisted_size: int) -> MediaServiceError:
    message = f"the upload has ended at byte {persisted_size}, before its recorder"
    return MediaServiceError(grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_ENDED", message)
