"""`kazoo-media prompts`: what a switch knows by a prompt id."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from kazoo_media.cli.batch import Result, report
from kazoo_media.cli.output import count_bar, print_json, print_table
from kazoo_media.cli.prompt_import import PromptImport, prompt_files
from kazoo_media.cli.prompt_speech import PromptSpeech, prompt_lines
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
    counted = (Result.IMPORTED, Result.OVERWRITTEN, Result.FAILED)
    report(outcomes, counted, ("file", "files"), time.monotonic() - started, as_json=as_json)


@app.command()
@calls_service
async def speak(  # noqa: PLR0913 - the options of a command
    session: Session,
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="Lines `id: text`; `#` starts a comment."),
    ],
    language: Annotated[str, typer.Argument(help="As en-us.")],
    *,
    voice: Annotated[str, typer.Option(help="One that `kazoo-media voices` lists.")],
    account: _Account = "system",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Speak those that exist anew.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Prompts at the same time.")] = 8,
    as_json: _AsJson = False,
) -> None:
    """Speak a text file of prompts; those that exist are skipped.

    Each line `id: text` becomes the prompt of that id, media LANGUAGE/ID.
    """
    lines = await asyncio.to_thread(prompt_lines, file)
    if not lines:
        raise CommandError(f"{file}: there is no line `id: text` in this file")
    await _check_voice(session, voice)
    work = PromptSpeech(session.client, account, language, voice, overwrite=overwrite)
    started = time.monotonic()
    with count_bar("Speaking") as progress:
        outcomes = await work.run(lines, jobs, progress)
    counted = (Result.SPOKEN, Result.OVERWRITTEN, Result.SKIPPED, Result.FAILED)
    report(outcomes, counted, ("line", "lines"), time.monotonic() - started, as_json=as_json)


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


async def _check_voice(session: Session, voice: str) -> None:
    """Raise now what would else be the failure of every line."""
    found = await session.client.list_voices()
    known = {name.lower() for each in found.voices for name in (each.name, each.engine_voice)}
    if voice.lower() not in known:
        raise CommandError(
            f"{found.provider} has no voice {voice!r}: `kazoo-media voices` lists those that it has"
        )
