"""Recorders that send over gRPC, and what happens to them in the middle."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from kazoo_media.client import (
    Client,
    Media,
    MediaServiceError,
    PauseMode,
    RawAudio,
    RawEncoding,
    Recorder,
    RecordingRefusedError,
    UploadSpec,
)
from tests.torture.calls import Call
from tests.torture.lanes import TICK_BYTES, TICK_S
from tests.torture.ledger import Ledger

SPEC = UploadSpec(
    media=Media(name="Call"),
    raw=RawAudio(encoding=RawEncoding.RAW_ENCODING_MULAW, sample_rate_hertz=8000, channel_count=1),
)
_MASK_TICKS = 5
_RETRY_S = 0.3
_LOST_TO_ANOTHER = ("TAKEN_OVER", "CONTENT_MISMATCH")


class Recorders:
    """Recorders with gRPC streams, and what happens to them in the middle."""

    fates: tuple[str, ...] = ("whole", "whole", "kill", "take over", "leave", "mask", "pause")

    def __init__(
        self, network: Client, service: Client, account_id: str, ledger: Ledger, spool: Path
    ) -> None:
        """Send over one client, and ask for pauses from outside over another one."""
        self._network = network
        self._service = service
        self._account_id = account_id
        self._ledger = ledger
        self._spool = spool

    async def record(self, name: str, fate: str, ticks: int) -> None:
        """Record a call."""
        call = Call(name)
        async with self._recorder(call, self._spool) as recorder:
            await _write(call, recorder, ticks // 2)
            await self._middle(call, recorder, fate)
            if fate in {"leave", "take over"}:
                return
            if fate != "kill":
                await _write(call, recorder, ticks // 2)
                await self._finish(call, recorder)
                return
        call.gap()
        self._ledger.counts["recorders restarted"] += 1
        async with self._recorder(call, self._spool) as recorder:
            await _write(call, recorder, ticks // 2)
            await self._finish(call, recorder)

    async def _middle(self, call: Call, recorder: Recorder, fate: str) -> None:
        if fate == "leave":
            self._ledger.counts["left unfinished"] += 1
            self._ledger.left.append(call)
        elif fate == "take over":
            await self._take_over(call, recorder)
        elif fate == "mask":
            await self._mask(call, recorder)
        elif fate == "pause":
            await self._pause(call, recorder)

    async def _take_over(self, call: Call, older: Recorder) -> None:
        """Go on with a second recorder; the first one stops for good, or has the upload again."""
        self._ledger.counts["take-overs"] += 1
        await older.flush()  # the newer one puts its bytes after what is there
        async with self._recorder(call, self._spool / "second") as newer:
            with suppress(RecordingRefusedError):
                await newer.flush()
                if newer.persisted_size < call.sent_bytes:
                    self._ledger.lose(call.upload_id, call.sent_bytes, newer.persisted_size)
            while older.error is None and newer.error is None:
                data = call.sound(TICK_BYTES)
                newer.write(data)
                older.write(data)
                await asyncio.sleep(TICK_S)
            await self._finish_either(call, newer, older)

    async def _finish_either(self, call: Call, newer: Recorder, older: Recorder) -> None:
        """Complete the recording by the newer recorder, or by an older one that took it back.

        Each may have taken the upload from the other while their connections were lost. If both
        have stopped, everything that was acknowledged has to be there.
        """
        for recorder in (newer, older):
            try:
                await self._finish(call, recorder)
            except RecordingRefusedError as error:
                if error.reason not in _LOST_TO_ANOTHER:
                    raise
            else:
                return
        self._ledger.counts["both recorders stopped"] += 1
        self._ledger.left.append(call)

    async def _mask(self, call: Call, recorder: Recorder) -> None:
        """Pause before the spool, with silence and without."""
        for mode, masked in (
            (PauseMode.PAUSE_MODE_SILENCE, call.masked_sound),
            (PauseMode.PAUSE_MODE_SKIP, call.skipped_sound),
        ):
            call.mask()
            recorder.pause(mode)
            for _ in range(_MASK_TICKS):
                recorder.write(masked(TICK_BYTES))
                await asyncio.sleep(TICK_S)
            recorder.resume()
            await _write(call, recorder, _MASK_TICKS)

    async def _pause(self, call: Call, recorder: Recorder) -> None:
        """Pause by a request of somebody else, between bytes that are durable."""
        call.mask()
        await recorder.flush()
        await self._until_done(call, is_paused=True)
        for _ in range(_MASK_TICKS):
            recorder.write(call.masked_sound(TICK_BYTES))
            await asyncio.sleep(TICK_S)
        await recorder.flush()
        await self._until_done(call, is_paused=False)
        recorder.write(call.doubtful_sound(TICK_BYTES))
        await recorder.flush()

    async def _until_done(self, call: Call, *, is_paused: bool) -> None:
        """Ask for a pause or its end until the service is there to answer."""
        ask = self._service.pause_upload if is_paused else self._service.resume_upload
        while True:
            try:
                await ask(self._account_id, call.upload_id)
            except MediaServiceError as error:
                if error.reason and error.reason not in {"STORAGE_FULL", "DRAINING"}:
                    raise RecordingRefusedError(error, Path()) from error
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _finish(self, call: Call, recorder: Recorder) -> None:
        media = await recorder.finish()
        if media is None:
            self._ledger.problems.append(f"{call.upload_id} was discarded")
        else:
            self._ledger.finished.append((call, media.id))

    def _recorder(self, call: Call, spool: Path) -> Recorder:
        return self._network.recorder(self._account_id, call.upload_id, SPEC, spool)


async def _write(call: Call, recorder: Recorder, ticks: int) -> None:
    for _ in range(ticks):
        recorder.write(call.sound(TICK_BYTES))
        await asyncio.sleep(TICK_S)
