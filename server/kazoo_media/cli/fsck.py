"""`kazoo-media fsck`: compare the metadata store with the blob store."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from kazoo_media.cli.failures import CommandError, failures_reported
from kazoo_media.cli.output import count_bar, print_table
from kazoo_media.cli.server_packages import server_packages
from kazoo_media.config import Config

if TYPE_CHECKING:
    from kazoo_media.upkeep.fsck import FsckReport

_DATABASE = "metadata.sqlite"


def fsck(
    *,
    digests: Annotated[
        bool, typer.Option("--digests", help="Also read all audio and compare its SHA-256.")
    ] = False,
    remove_orphans: Annotated[
        bool,
        typer.Option(
            "--remove-orphans", help="Remove files older than 30 days that no media uses."
        ),
    ] = False,
) -> None:
    """Check that the audio files, or the bucket, match the metadata store.

    The service may be running. The exit code is 1 if audio is lost or damaged.
    Files that no media uses, which a crash can leave behind, do not count.
    Documents show from then on what was found to be damaged, or to be right again.
    """
    with failures_reported():
        config = Config.from_environ()
        with _lock(config) as service_is_stopped:
            if not service_is_stopped:
                typer.echo("The service is running: unfinished uploads are skipped.", err=True)
            report = asyncio.run(_check(config, digests=digests, remove_orphans=remove_orphans))
        _print(report, remove_orphans=remove_orphans)


async def _check(config: Config, *, digests: bool, remove_orphans: bool) -> FsckReport:
    with server_packages("fsck", "server"):
        from kazoo_media.errors import MediaError  # noqa: PLC0415
        from kazoo_media.metadata.opening import open_metadata  # noqa: PLC0415
        from kazoo_media.service.blob_stores import open_blobs_for_check  # noqa: PLC0415
        from kazoo_media.service.logs import configure_logging  # noqa: PLC0415
        from kazoo_media.start_error import StartError  # noqa: PLC0415
        from kazoo_media.upkeep.fsck import check  # noqa: PLC0415

    configure_logging("fsck")
    try:
        async with AsyncExitStack() as stack:
            # Shared: workers may be writing.
            path = config.data_dir / _DATABASE
            metadata = await open_metadata(config.metadata_url, path, shared=True)
            stack.push_async_callback(metadata.aclose)
            blobs = await open_blobs_for_check(config, metadata, stack)
            progress = stack.enter_context(count_bar("Checking"))
            return await check(
                metadata,
                blobs,
                read_digests=digests,
                progress=lambda rows: progress(rows, None),
                remove_orphans=remove_orphans,
            )
    except (MediaError, StartError) as error:
        raise CommandError(str(error)) from error


@contextmanager
def _lock(config: Config) -> Iterator[bool]:
    """Keep the service from starting inside the block; yield False if it is running already.

    Raises:
        CommandError: the folder is not a data folder.
    """
    folder = config.data_dir
    needed = "signing-key.pem" if config.metadata_url else _DATABASE
    if not (folder / needed).exists():
        raise CommandError(f"{folder} has no {needed}: set KAZOO_MEDIA_DATA_DIR to a data folder")
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _print(report: FsckReport, *, remove_orphans: bool) -> None:
    from kazoo_media.upkeep.examination import FindingKind  # noqa: PLC0415 - imported already

    if report.findings:
        print_table(
            ("finding", "account", "media", "blob", "expected", "found"),
            (
                (
                    each.kind.value,
                    each.account_id,
                    each.media_id,
                    each.key,
                    each.expected,
                    each.actual,
                )
                for each in report.findings
            ),
        )
        typer.echo()
    harmless = (FindingKind.ORPHAN, FindingKind.LEFTOVER)
    bad = [each for each in report.findings if each.kind not in harmless]
    print_table(
        ("rows", "live", "files", "lost_or_wrong", "without_row", "removed"),
        [
            (
                report.row_count,
                report.live_count,
                report.file_count,
                len(bad),
                len(report.findings) - len(bad),
                report.removed_count,
            )
        ],
    )
    kept = len(report.findings) - len(bad) - report.removed_count
    if remove_orphans and kept:
        typer.echo(f"{kept} without a row stay: files are removed after 30 days.")
    if bad:
        raise typer.Exit(1)
