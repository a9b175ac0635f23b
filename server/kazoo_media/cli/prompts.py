"""`kazoo-media prompts`: what a switch knows by a prompt id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kazoo_media.cli.output import count_bar, print_json, print_table
from kazoo_media.cli.prompt_import import Outcome, PromptImport, Result, prompt_files
from kazoo_media.cli.session import CommandError, Session, calls_service
from kazoo_media.client import MediaServiceError

app = typer.Typer(help="Prompts.", no_args_is_help=True)

_Account = Annotated[str, typer.Option(metavar="ID", help="Account; else the system scope.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_USUAL_LANGUAGE = "en-us"


@app.command("import")
@calls_service
async def import_folder(
    session: Session,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="*.wav and *.mp3.")
    ],
    language: Annotated[
        str, typer.Argument(show_default="the setting media.default_language", help="As en-us.")
    ] = "",
    *,
    account: _Account = "system",
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Files at the same time.")] = 16,
    as_json: _AsJson = False,
) -> None:
    """Import a folder of prompts; those that exist are overwritten.

    Each file NAME.wav or NAME.mp3 becomes the prompt NAME, media LANGUAGE/NAME.
    """
    paths = await asyncio.to_thread(prompt_files, folder)
    if not paths:
        raise CommandError(f"{folder}: there is no *.wav or *.mp3 in this folder")
    work = PromptImport(session.client, account, language or await _default_language(session))
    started = time.monotonic()
    with count_bar("Importing") as progress:
        outcomes = await work.run(paths, jobs, progress)
    summary = _summary(outcomes, time.monotonic() - started)
    failed = [each for each in outcomes if each.result is Result.FAILED]
    if as_json:
        listed = [{"file": each.path.name, "reason": each.problem} for each in failed]
        print_json(summary | {"failed": listed})
    else:
        if failed:
            print_table(("file", "reason"), ((each.path.name, each.problem) for each in failed))
            typer.echo()
        print_table(tuple(summary), [tuple(summary.values())])
    if failed:
        raise typer.Exit(1)


@app.command("list")
@calls_service
async def list_prompts(
    session: Session, *, account: _Account = "system", as_json: _AsJson = False
) -> None:
    """List prompts with the number of their translations."""
    prompts = [
        (each.prompt_id, each.translation_count)
        async for each in session.client.list_prompts(account)
    ]
    if as_json:
        print_json([{"prompt_id": name, "translations": count} for name, count in prompts])
    else:
        print_table(("prompt_id", "translations"), prompts)


async def _default_language(session: Session) -> str:
    """Return the setting; who may not read settings gets the one it has out of the box."""
    try:
        [setting] = await session.client.get_settings("media", "default_language")
    except MediaServiceError as error:
        if error.reason != "FORBIDDEN":
            raise
        return _USUAL_LANGUAGE
    return setting.value.string_value


def _summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, int | float]:
    counts = {result: sum(each.result is result for each in outcomes) for result in Result}
    return {
        "imported": counts[Result.IMPORTED],
        "overwritten": counts[Result.OVERWRITTEN],
        "failed": counts[Result.FAILED],
        "bytes": sum(each.size_bytes for each in outcomes),
        "seconds": round(seconds, 3),
        "files_per_s": round(len(outcomes) / max(seconds, 0.001), 1),
    }
