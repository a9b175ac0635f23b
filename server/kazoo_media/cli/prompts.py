"""`kazoo-media prompts`: import, speak, list and resolve prompts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from kazoo_media.cli.batch import Result, report
from kazoo_media.cli.failures import CommandError
from kazoo_media.cli.output import as_json as message_fields
from kazoo_media.cli.output import count_bar, print_json, print_table
from kazoo_media.cli.prompt_import import PromptImport, hidden_files, prompt_files
from kazoo_media.cli.prompt_speech import PromptSpeech, prompt_lines
from kazoo_media.cli.session import Session, calls_service
from kazoo_media.client import MediaServiceError
from kazoo_media.v1.prompt_service_pb2 import PassedOverTranslation

app = typer.Typer(help="Prompts: audio that a switch plays by its prompt id.", no_args_is_help=True)

_Account = Annotated[
    str, typer.Option(metavar="ID", help="Account id, or system for the shared media.")
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_FALLBACK_LANGUAGE = "en-us"


@app.command("import")
@calls_service
async def import_folder(
    session: Session,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", exists=True, file_okay=False, help="Folder with *.wav and *.mp3 files."
        ),
    ],
    language: Annotated[
        str,
        typer.Argument(
            show_default="the setting media.default_language",
            help="Language of the prompts, for example en-us.",
        ),
    ] = "",
    *,
    account: _Account = "system",
    jobs: Annotated[
        int, typer.Option(min=1, max=256, help="How many files to import at a time.")
    ] = 16,
    as_json: _AsJson = False,
) -> None:
    """Import a folder of prompts; existing prompts are overwritten, hidden files are skipped.

    Each file NAME.wav or NAME.mp3 becomes the prompt NAME with the media id
    LANGUAGE/NAME, the language in lower case.
    """
    paths = await asyncio.to_thread(prompt_files, folder)
    if not paths:
        raise CommandError(f"{folder} has no *.wav or *.mp3 files")
    work = PromptImport(session.client, account, language or await _default_language(session))
    started = time.monotonic()
    with count_bar("Importing") as progress:
        outcomes = await work.run(paths, jobs, progress)
    outcomes += await asyncio.to_thread(hidden_files, folder)
    counted = (Result.IMPORTED, Result.OVERWRITTEN, Result.FAILED, Result.SKIPPED)
    report(outcomes, counted, ("file", "files"), time.monotonic() - started, as_json=as_json)


@app.command()
@calls_service
async def speak(  # noqa: PLR0913 - an argument for each option
    session: Session,
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="Text file with lines `id: text`; lines that start with # are comments.",
        ),
    ],
    language: Annotated[str, typer.Argument(help="Language of the prompts, for example en-us.")],
    *,
    voice: Annotated[
        str, typer.Option(metavar="NAME", help="A voice that `kazoo-media voices` lists.")
    ],
    account: _Account = "system",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Speak existing prompts again.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, max=256, help="How many prompts to speak at a time.")
    ] = 8,
    as_json: _AsJson = False,
) -> None:
    """Speak the prompts of a text file; existing prompts are skipped unless --overwrite is given.

    Each line `id: text` becomes the prompt ID with the media id LANGUAGE/ID,
    the language in lower case.
    """
    lines = await asyncio.to_thread(prompt_lines, file)
    if not lines:
        raise CommandError(f"{file} has no prompts: write lines `id: text`")
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
    """List prompts and how many translations each has."""
    prompts = [
        (each.prompt_id, each.translation_count)
        async for each in session.client.list_prompts(account)
    ]
    if as_json:
        print_json([{"prompt_id": name, "translations": count} for name, count in prompts])
    else:
        print_table(("prompt_id", "translations"), prompts)


@app.command("resolve")
@calls_service
async def resolve_prompt(
    session: Session,
    prompt_id: Annotated[str, typer.Argument(help="The prompt, for example vm-enter_pass.")],
    *,
    language: Annotated[
        str,
        typer.Option(
            show_default="the setting media.default_language",
            help="Language of the caller, for example fr-ca.",
        ),
    ] = "",
    extension: Annotated[
        str,
        typer.Option("--format", metavar="EXT", show_default="any", help="Its format: wav, mp3."),
    ] = "",
    account: _Account = "system",
    as_json: _AsJson = False,
) -> None:
    """Show which audio a caller hears, why nearer translations are passed over, and a link."""
    found = await session.client.resolve_prompt(account, prompt_id, language, extension)
    if as_json:
        print_json(message_fields(found))
        return
    rows = [
        (each.media_id, each.account_id, PassedOverTranslation.Reason.Name(each.reason))
        for each in found.passed_over
    ]
    print_table(
        ("media", "account", "result"),
        [
            *(
                (media_id, owner, reason.removeprefix("REASON_").lower())
                for media_id, owner, reason in rows
            ),
            (found.media_id, found.account_id, "used"),
        ],
    )
    typer.echo(session.address_of(found.link.url))


async def _default_language(session: Session) -> str:
    """Return the setting, or its initial value for callers who may not read settings."""
    try:
        [setting] = await session.client.get_settings("media", "default_language")
    except MediaServiceError as error:
        if error.reason != "FORBIDDEN":
            raise
        return _FALLBACK_LANGUAGE
    return setting.value.string_value


async def _check_voice(session: Session, voice: str) -> None:
    """Raise one error in place of the same error for every line."""
    found = await session.client.list_voices()
    known = {name.lower() for each in found.voices for name in (each.name, each.engine_voice)}
    if voice.lower() not in known:
        raise CommandError(
            f"{found.provider} has no voice {voice!r}: `kazoo-media voices` lists its voices"
        )
