"""`kazoo-media uploads`: recordings that run, and files that become recordings."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kazoo_media.cli.batch import Outcome, Result, failure, report, run_batch
from kazoo_media.cli.output import as_json, print_json, print_table, transfer_bar
from kazoo_media.cli.recording import Account, UploadId, own_account
from kazoo_media.cli.session import Session, calls_service
from kazoo_media.client import (
    Media,
    MediaServiceError,
    PauseMode,
    Progress,
    Upload,
    UploadSpec,
    UploadState,
)

app = typer.Typer(help="Recordings that are being uploaded.", no_args_is_help=True)


@app.command("list")
@calls_service
async def list_uploads(
    session: Session,
    *,
    account: Account = "",
    ended: Annotated[
        bool, typer.Option("--all", help="Also those that ended within the last week.")
    ] = False,
) -> None:
    """List the recordings that run or wait for their recorder."""
    owner = account or await own_account(session)
    over = () if ended else (UploadState.UPLOAD_STATE_FINISHED, UploadState.UPLOAD_STATE_DISCARDED)
    uploads = [each async for each in session.client.list_uploads(owner) if each.state not in over]
    print_table(("id", "state", "bytes", "duration_ms", "received", "holder"), map(_row, uploads))


@app.command()
@calls_service
async def show(session: Session, upload_id: UploadId, *, account: Account = "") -> None:
    """Show an upload as JSON."""
    owner = account or await own_account(session)
    print_json(as_json(await session.client.get_upload(owner, upload_id)))


@app.command()
@calls_service
async def pause(
    session: Session,
    upload_id: UploadId,
    *,
    account: Account = "",
    skip: Annotated[
        bool, typer.Option("--skip", help="Leave the masked range out of the recording.")
    ] = False,
) -> None:
    """Mask what arrives from now on: the service stores silence instead."""
    owner = account or await own_account(session)
    mode = PauseMode.PAUSE_MODE_SKIP if skip else PauseMode.PAUSE_MODE_SILENCE
    upload = await session.client.pause_upload(owner, upload_id, mode)
    typer.echo(f"masked from byte {upload.persisted_size} on")


@app.command()
@calls_service
async def resume(session: Session, upload_id: UploadId, *, account: Account = "") -> None:
    """End the mask within a second."""
    owner = account or await own_account(session)
    await session.client.resume_upload(owner, upload_id)


@app.command()
@calls_service
async def finish(
    session: Session,
    upload_id: UploadId,
    *,
    account: Account = "",
    discard: Annotated[
        bool, typer.Option("--discard", help="Keep nothing, instead of an incomplete recording.")
    ] = False,
    reason: Annotated[
        str, typer.Option(show_default="finished_by_request", help="Why it ended.")
    ] = "",
) -> None:
    """End an upload whose recorder is gone; print the id of the incomplete recording."""
    owner = account or await own_account(session)
    answer = await session.client.finish_upload(
        owner, upload_id, keep=not discard, end_reason=reason
    )
    if answer.HasField("media"):
        typer.echo(answer.media.id)


@app.command()
@calls_service
async def send(
    session: Session,
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Audio files.")],
    *,
    account: Account = "",
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Files at the same time.")] = 4,
    as_json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Upload files as recordings, named like the files.

    Waits while the service is away. After Ctrl-C or a kill the same command goes on where it was;
    files that are complete already are skipped, within a week.
    """
    owner = account or await own_account(session)
    began = time.monotonic()
    sizes = await asyncio.to_thread(_sizes, files)
    with transfer_bar(f"{len(files)} files") as progress:
        total = _Total(sizes, progress)

        async def work(file: Path) -> Outcome:
            return await _send(session, owner, file, total)

        outcomes = await run_batch(files, work, jobs, lambda done, count: None)
    counted = (Result.STORED, Result.FAILED)
    seconds = time.monotonic() - began
    report(outcomes, counted, ("file", "files"), seconds, as_json=as_json_)


class _Total:
    """The progress of all files together."""

    def __init__(self, sizes: dict[Path, int], progress: Progress) -> None:
        self._done = dict.fromkeys(sizes, 0)
        self._size_bytes = sum(sizes.values())
        self._progress = progress

    def of(self, file: Path) -> Progress:
        def show(done: int, _total: int | None) -> None:
            self._done[file] = done
            self._progress(sum(self._done.values()), self._size_bytes)

        return show


async def _send(session: Session, owner: str, file: Path, total: _Total) -> Outcome:
    spec = UploadSpec(media=Media(name=file.stem[:128] or "recording"))
    try:
        upload_id = await asyncio.to_thread(_upload_id, file)
        media = await session.client.upload_recording(owner, upload_id, spec, file, total.of(file))
    except MediaServiceError as error:
        return failure(str(file), error)
    except OSError as error:
        return Outcome(str(file), Result.FAILED, problem=error.strerror or str(error))
    if media is None:
        return Outcome(str(file), Result.FAILED, problem="the file is empty")
    return Outcome(str(file), Result.STORED, media.content_length)


def _sizes(files: Sequence[Path]) -> dict[Path, int]:
    return {each: each.stat().st_size for each in files}


def _upload_id(file: Path) -> str:
    """Return an id that stays while the file is unchanged."""
    known = file.stat()
    text = f"{os.path.abspath(file)}\0{known.st_size}\0{known.st_mtime_ns}"
    return "file-" + hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _row(upload: Upload) -> tuple[object, ...]:
    received = upload.receive_time.ToJsonString() if upload.HasField("receive_time") else "-"
    duration = upload.duration_ms if upload.HasField("duration_ms") else "-"
    state = UploadState.Name(upload.state).removeprefix("UPLOAD_STATE_").lower()
    return upload.upload_id, state, upload.persisted_size, duration, received, upload.holder
