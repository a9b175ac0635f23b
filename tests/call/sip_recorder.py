"""A SIP recorder: PJSIP answers one call, and `Recorder` records both directions of it.

    python -m tests.call.sip_recorder TARGET API_KEY ACCOUNT UPLOAD FOLDER

It prints its SIP address, then `connected`, then what has become of the call as JSON. It hangs up
when its stdin ends. The folder gets the spool, and `written`: all bytes that were recorded.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pjsua2 as pj
from typing_extensions import override

from kazoo_media.client import Client, Media, RawAudio, RawEncoding, UploadSpec

RATE_HERTZ = 8000
OWN_HERTZ = 1000
_FRAME_MS = 20
_FRAME_SAMPLES = RATE_HERTZ * _FRAME_MS // 1000
_SILENCE = np.zeros(_FRAME_SAMPLES, "<i2")
_PHASES = 2 * np.pi * OWN_HERTZ / RATE_HERTZ * np.arange(_FRAME_SAMPLES)
_OWN_TONE = np.round(8000 * np.sin(_PHASES)).astype("<i2")  # whole waves: frames follow seamlessly
_SPEC = UploadSpec(
    media=Media(name="A call"),
    raw=RawAudio(
        encoding=RawEncoding.RAW_ENCODING_LINEAR16,
        sample_rate_hertz=RATE_HERTZ,
        channel_count=2,
        channel_roles=["caller", "callee"],
    ),
)
_POLL_MS = 20


@dataclass(frozen=True)
class CallEnd:
    """What SIP says of a call that has ended."""

    call_id: str
    duration_ms: int


class _Port(pj.AudioMediaPort):  # type: ignore[misc]
    """Sends a tone and writes both directions, frame by frame, in the thread of PJSIP's clock.

    Attributes:
        is_open: Whether the call goes on; the clock does after it.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self.is_open = True
        self._write = write
        self._tone = pj.ByteVector(list(_OWN_TONE.tobytes()))
        self._sent = _SILENCE
        form = pj.MediaFormatAudio()
        form.init(pj.PJMEDIA_FORMAT_L16, RATE_HERTZ, 1, _FRAME_MS * 1000, 16)
        self.createPort("recorder", form)

    @override
    def onFrameRequested(self, frame: Any) -> None:
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        frame.buf = self._tone
        self._sent = _OWN_TONE

    @override
    def onFrameReceived(self, frame: Any) -> None:
        received = np.frombuffer(bytes(frame.buf), "<i2") if frame.size else _SILENCE
        if self.is_open:
            self._write(np.column_stack((received, self._sent)).tobytes())
        self._sent = _SILENCE


class _Call(pj.Call):  # type: ignore[misc]
    def __init__(
        self,
        account: pj.Account,
        call_id: int,
        write: Callable[[bytes], None],
        say: Callable[[str], None],
    ) -> None:
        super().__init__(account, call_id)
        self.end: CallEnd | None = None
        self._write = write
        self._say = say
        self._port: _Port | None = None

    @override
    def onCallMediaState(self, prm: Any) -> None:
        self._port = _Port(self._write)
        media = self.getAudioMedia(-1)
        media.startTransmit(self._port)
        self._port.startTransmit(media)

    @override
    def onCallState(self, prm: Any) -> None:
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self._say("connected")
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            if self._port is not None:
                self._port.is_open = False
            duration = info.connectDuration
            self.end = CallEnd(info.callIdString, duration.sec * 1000 + duration.msec)


class _Account(pj.Account):  # type: ignore[misc]
    """Answers the first call."""

    def __init__(self, write: Callable[[bytes], None], say: Callable[[str], None]) -> None:
        super().__init__()
        self.call: _Call | None = None
        self._write = write
        self._say = say
        settings = pj.AccountConfig()
        settings.idUri = "sip:recorder@127.0.0.1"
        settings.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        self.create(settings)

    @override
    def onIncomingCall(self, prm: Any) -> None:
        self.call = _Call(self, prm.callId, self._write, self._say)
        answer = pj.CallOpParam()
        answer.statusCode = pj.PJSIP_SC_OK
        self.call.answer(answer)


def take_call(
    write: Callable[[bytes], None], say: Callable[[str], None], hang_up: threading.Event
) -> CallEnd:
    """Announce the address, answer one call and return when it has ended."""
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    settings = pj.EpConfig()
    settings.uaConfig.threadCnt = 0  # this thread handles all events
    settings.logConfig.level = settings.logConfig.consoleLevel = 2
    settings.medConfig.clockRate = RATE_HERTZ
    settings.medConfig.noVad = True
    settings.medConfig.ecTailLen = 0
    endpoint.libInit(settings)
    try:
        endpoint.audDevManager().setNullDev()
        transport = pj.TransportConfig()
        transport.boundAddress = "127.0.0.1"
        number = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        endpoint.libStart()
        account = _Account(write, say)
        say(endpoint.transportGetInfo(number).localName)
        end = _end_of_call(endpoint, account, hang_up)
        del account  # and its call: PJSIP aborts the process if they outlive it
        return end
    finally:
        endpoint.libDestroy()


def _end_of_call(endpoint: pj.Endpoint, account: _Account, hang_up: threading.Event) -> CallEnd:
    while account.call is None or account.call.end is None:
        endpoint.libHandleEvents(_POLL_MS)
        if hang_up.is_set() and account.call is not None:
            hang_up.clear()
            account.call.hangup(pj.CallOpParam())
    return account.call.end


def _set_at_end_of_input(event: threading.Event) -> None:
    sys.stdin.read()
    event.set()


async def record(access: list[str], folder: Path, tap: IO[bytes]) -> None:
    """Take a call, record it, and write the same bytes to `tap`."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # PJSIP logs to stdout

    def say(line: str) -> None:
        print(line, file=output, flush=True)

    hang_up = threading.Event()
    threading.Thread(target=_set_at_end_of_input, args=(hang_up,), daemon=True).start()
    target, api_key, account, upload = access
    async with (
        Client(target, api_key=api_key) as client,
        client.recorder(account, upload, _SPEC, folder / "spool") as recorder,
    ):

        def write(audio: bytes) -> None:
            recorder.write(audio)
            tap.write(audio)

        end = await asyncio.to_thread(take_call, write, say, hang_up)
        media = await recorder.finish("hangup", {"call_id": end.call_id})
    assert media is not None
    say(json.dumps({**asdict(end), "media_id": media.id}))


def main() -> None:
    *access, folder = sys.argv[1:]
    with Path(folder, "written").open("wb") as tap:
        asyncio.run(record(access, Path(folder), tap))


if __name__ == "__main__":
    main()
