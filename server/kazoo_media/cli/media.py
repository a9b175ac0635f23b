"""`kazoo-media media`: documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from kazoo_media.cli.output import as_json, print_json, print_table
from kazoo_media.cli.session import Session, calls_service
from kazoo_media.client import ListMediaRequest, Media

app = typer.Typer(help="Media documents.", no_args_is_help=True)

_Account = Annotated[
    str,
    typer.Option(
        metavar="ID",
        show_default="the API key's account",
        help="Account id, or system for the shared media.",
    ),
]
_MediaId = Annotated[str, typer.Argument(help="Id of the media, for example en-us/vm-enter_pass.")]


@app.command("list")
@calls_service
async def list_media(
    session: Session,
    *,
    account: _Account = "",
    language: Annotated[str, typer.Option(help="Only media of this language.")] = "",
    deleted: Annotated[
        bool, typer.Option("--deleted", help="List deleted media, which can be restored.")
    ] = False,
) -> None:
    """List media."""
    owner = account or await session.client.account_id()
    request = ListMediaRequest(account_id=owner, language=language, deleted=deleted)
    media = [each async for each in session.client.list_media(request)]
    print_table(("id", "name", "language", "content_type", "bytes"), map(_row, media))


@app.command()
@calls_service
async def get(session: Session, media_id: _MediaId, *, account: _Account = "") -> None:
    """Show a document as JSON."""
    owner = account or await session.client.account_id()
    media = await session.client.get_media(owner, media_id)
    print_json(as_json(media))


@app.command()
@calls_service
async def delete(
    session: Session,
    media_id: _MediaId,
    *,
    account: _Account = "",
    hard: Annotated[
        bool, typer.Option("--hard", help="Delete for good, so that the id can be used again.")
    ] = False,
) -> None:
    """Delete a document with its audio."""
    owner = account or await session.client.account_id()
    await session.client.delete_media(owner, media_id, hard=hard)


@app.command()
@calls_service
async def versions(session: Session, media_id: _MediaId, *, account: _Account = "") -> None:
    """List the earlier contents of a media that are kept (setting media.kept_versions)."""
    owner = account or await session.client.account_id()
    rows = [
        (
            each.version,
            each.replace_time.ToJsonString(),
            each.renditions[-1].content_type,
            each.renditions[-1].size_bytes,
        )
        for each in await session.client.list_versions(owner, media_id)
    ]
    print_table(("version", "replaced", "content_type", "bytes"), rows)


@app.command()
@calls_service
async def restore(
    session: Session,
    media_id: _MediaId,
    *,
    account: _Account = "",
    version: Annotated[
        int,
        typer.Option(
            min=0,
            show_default="the media was deleted: make it live again",
            help="Put this earlier content back.",
        ),
    ] = 0,
) -> None:
    """Put an earlier content of a media back, or make a deleted media live again."""
    owner = account or await session.client.account_id()
    media = await session.client.restore_media(owner, media_id, version)
    print_table(("id", "name", "language", "content_type", "bytes"), [_row(media)])


@app.command()
@calls_service
async def purge(
    session: Session,
    *,
    account: _Account = "",
    older_than_days: Annotated[
        int, typer.Option(min=0, help="Only media deleted at least this many days ago.")
    ] = 0,
) -> None:
    """Remove deleted media and their audio for good, so that the ids can be used again."""
    owner = account or await session.client.account_id()
    until = datetime.now(UTC) - timedelta(days=older_than_days)
    # A whole second later, to include media deleted within the current second.
    count = await session.client.purge_media(owner, until + timedelta(seconds=1))
    typer.echo(f"{count} media removed for good")


def _row(media: Media) -> tuple[object, ...]:
    return media.id, media.name, media.language, media.content_type, media.content_length
