"""`kazoo-media languages`: the languages of an account's media."""

from __future__ import annotations

from typing import Annotated

import typer

from kazoo_media.cli.output import print_table
from kazoo_media.cli.session import Session, calls_service

app = typer.Typer(help="Languages of media.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Languages of media."""


@app.command("list")
@calls_service
async def list_languages(
    session: Session,
    *,
    account: Annotated[
        str, typer.Option(metavar="ID", help="Account id, or system for the shared media.")
    ] = "system",
) -> None:
    """List languages and how many media each has."""
    found = await session.client.list_languages(account)
    rows = [(each.language, each.media_count) for each in found.languages]
    if found.missing_count:
        rows.append(("(none)", found.missing_count))
    print_table(("language", "media"), rows)
