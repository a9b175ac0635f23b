"""`kazoo-media voices`: the voices of text-to-speech."""

from __future__ import annotations

from typing import Annotated

import typer

from kazoo_media.cli.output import print_json, print_table
from kazoo_media.cli.session import Session, calls_service

_COLUMNS = ("name", "locale", "gender", "engine_voice")


@calls_service
async def voices(
    session: Session,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the voices of the configured text-to-speech provider."""
    found = await session.client.list_voices()
    rows = [
        (each.name, each.locale, each.name.partition("/")[0], each.engine_voice)
        for each in found.voices
    ]
    if as_json:
        listed = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        print_json({"provider": found.provider, "voices": listed})
    else:
        typer.echo(f"provider: {found.provider} (setting speech.tts_provider)\n")
        print_table(_COLUMNS, rows)
