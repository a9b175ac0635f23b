"""`kazoo-media record` and `tail`: a recording that runs, from stdin and to stdout."""

from __future__ import annotations

import asyncio
import enum
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from kazoo_media.cli.failures import CommandError
from kazoo_media.cli.session import Session, calls_service
from kazoo_media.client import Media, RawAudio, RawEncoding, Recorder, UploadSpec

Account = Annotated[
    str, typer.Option(metavar="ID", show_default="the API key's account", help="Account id.")
]
UploadId = Annotated[
    str, typer.Argument(help="Id of the upload: 1 to 128 letters, digits and `-_.`.")
]
_BLOCK_BYTES = 65536


class EncodingName(enum.StrEnum):
    """How samples are coded."""

    LINEAR16 = "linear16"
    MULAW = "mulaw"
    ALAW = "alaw"


_ENCODINGS = {
    EncodingName.LINEAR16: RawEncoding.RAW_ENCODING_LINEAR16,
    EncodingName.MULAW: RawEncoding.RAW_ENCODING_MULAW,
    EncodingName.ALAW: RawEncoding.RAW_ENCODING_ALAW,
}


@calls_service
async def record(  # noqa: PLR0913 - an argument for each option
    session: Session,
    source: Annotated[str, typer.Argument(metavar="-", help="The only source: stdin.")],
    upload_id: UploadId,
    *,
    account: Account = "",
    name: Annotated[
        str, typer.Option(show_default="the upload's id", help="Name of the recording.")
    ] = "",
    encoding: Annotated[
        EncodingName | None,
        typer.Option(
            show_default="the bytes are a container: WAV, OGG, ...",
            help="How the samples are coded, if there is no container.",
        ),
    ] = None,
    rate: Annotated[
        int, typer.Option(metavar="HERTZ", help="Samples a second of one channel.")
    ] = 8000,
    channels: Annotated[int, typer.Option(min=1, max=2, help="Interleaved channels.")] = 1,
    spool: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            show_default="~/.local/state/kazoo-media/spool",
            help="Where audio waits for a service that is away.",
        ),
    ] = None,
) -> None:
    """Record stdin until it ends or Ctrl-C, and print the recording's id.

    The same command goes on after a kill. It waits for a service that is away; to start then, it
    needs --account or bootstrap.json.
    """
    if source != "-":
        raise CommandError("only stdin can be recorded: pass - as the source")
    owner = account or await own_account(session)
    spec = UploadSpec(media=Media(name=name or upload_id))
    if encoding is not None:
        raw = RawAudio(
            encoding=_ENCODINGS[encoding], sample_rate_hertz=rate, channel_count=channels
        )
        spec.raw.CopyFrom(raw)
    folder = spool or _default_spool()
    async with session.client.recorder(owner, upload_id, spec, folder) as recorder:
        reason = await _record(recorder)
        media = await recorder.finish(reason)
    if media is None:
        raise CommandError("nothing was recorded: stdin was empty")
    typer.echo(media.id)


@calls_service
async def tail(
    session: Session,
    upload_id: UploadId,
    *,
    account: Account = "",
    offset: Annotated[
        int, typer.Option(min=0, metavar="BYTES", help="Where to begin in the audio.")
    ] = 0,
) -> None:
    """Write a running recording to stdout, until it ends.

    Raw audio comes as WAV, so that a player plays it while the call runs:
    `kazoo-media tail call-1 | play -t wav -`.
    """
    if sys.stdout.isatty():
        raise CommandError("stdout is a terminal: pipe the audio into a file or a player")
    owner = account or await own_account(session)
    try:
        async for data in session.client.tail(owner, upload_id, offset):
            await asyncio.to_thread(_write_all, data)
    except BrokenPipeError:  # the player has heard enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def own_account(session: Session) -> str:
    """Return the account of the API key; a service that is away is not asked without need."""
    if session.bootstrap is not None:
        return session.bootstrap.account_id
    return await session.client.account_id()


async def _record(recorder: Recorder) -> str:
    """Record stdin until it ends, a signal or a refusal, and return why."""
    loop = asyncio.get_running_loop()
    reading = loop.create_task(_read_into(recorder))
    refusal = loop.create_task(recorder.ended())
    refusal.add_done_callback(lambda _: reading.cancel())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, reading.cancel)
    try:
        await reading
    except asyncio.CancelledError:
        if not reading.cancelled():
            raise
        return "stopped"
    finally:
        refusal.cancel()
        # A second signal ends the command; the same command goes on with what is in the spool.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return "end_of_input"


async def _read_into(recorder: Recorder) -> None:
    async for data in _stdin():
        recorder.write(data)
        await recorder.drain()


async def _stdin() -> AsyncIterator[bytes]:
    """Yield stdin. A pipe is not read in a thread: nothing could end the thread."""
    mode = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(0)):
        while data := await asyncio.to_thread(os.read, 0, _BLOCK_BYTES):
            yield data
        return
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    while data := await reader.read(_BLOCK_BYTES):
        yield data


def _write_all(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _default_spool() -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state else Path.home() / ".local/state") / "kazoo-media/spool"
