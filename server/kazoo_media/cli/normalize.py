"""`kazoo-media normalize`: convert stored audio as the current settings say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import grpc
import typer

from kazoo_media.cli.batch import Outcome, Result, failure, report, run_batch, with_retries
from kazoo_media.cli.failures import CommandError
from kazoo_media.cli.output import count_bar
from kazoo_media.cli.session import Session, calls_service
from kazoo_media.client import Client, ListMediaRequest, MediaFilter, MediaServiceError

_SYSTEM = "system"
_GONE = ("CONTENT_NOT_FOUND", "MEDIA_NOT_FOUND")
_FATAL_CODES = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


@dataclass(frozen=True, slots=True)
class _Stored:
    account_id: str
    media_id: str
    has_audio: bool


@calls_service
async def normalize(  # noqa: PLR0913 - an argument for each option
    session: Session,
    *,
    account: Annotated[
        str,
        typer.Option(
            metavar="ID",
            show_default="the API key's account",
            help="Account id, or system for the shared media.",
        ),
    ] = "",
    all_accounts: Annotated[
        bool,
        typer.Option("--all", help="All accounts and the shared media; needs a superduper admin."),
    ] = False,
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--filter", metavar="KEY=VALUE", help="Only media whose KEY is VALUE; repeatable."
        ),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME", show_default="as the settings say", help="Normalization preset."
        ),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Convert audio that is up to date as well.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, max=256, help="How many media to convert at a time.")
    ] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Convert stored audio again, from its originals, as the settings now say.

    The old audio stays available until the new audio is complete. After an
    interruption run the command again: it skips audio that is up to date.
    """
    client = session.client
    filters = [_filter(each) for each in conditions or ()]
    accounts = await _accounts(client, account, all_accounts=all_accounts)
    started = time.monotonic()
    with count_bar("Normalizing") as progress:
        stored = [each for owner in accounts for each in await _stored(client, owner, filters)]

        async def work(media: _Stored) -> Outcome:
            title = f"{media.account_id}: {media.media_id}" if all_accounts else media.media_id
            result = await _normalized(client, media, preset, force=force)
            return replace(result, origin=title)

        outcomes = await run_batch(stored, work, jobs, progress)
    counted = (Result.CONVERTED, Result.CURRENT, Result.NO_AUDIO, Result.FAILED)
    seconds = time.monotonic() - started
    report(outcomes, counted, ("media", "media"), seconds, as_json=as_json)


async def _accounts(client: Client, account: str, *, all_accounts: bool) -> Sequence[str]:
    own = await client.get_account()
    if not all_accounts:
        return [account or own.id]
    if account:
        raise CommandError("--account and --all cannot be used together")
    if not own.superduper_admin:
        raise CommandError(
            "--all needs the API key of a superduper admin: pass one with --api-key, or name an "
            "--account"
        )
    return [_SYSTEM, *[each.id async for each in client.list_accounts()]]


async def _stored(client: Client, account_id: str, filters: Sequence[MediaFilter]) -> list[_Stored]:
    request = ListMediaRequest(account_id=account_id, filters=filters)
    return [
        _Stored(account_id, each.id, bool(each.renditions))
        async for each in client.list_media(request)
    ]


def _filter(text: str) -> MediaFilter:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise CommandError(f"--filter {text}: write KEY=VALUE, for example language=en-us")
    return MediaFilter(key=key, operator=MediaFilter.OPERATOR_EQUALS, values=[value])


async def _normalized(client: Client, stored: _Stored, preset: str, *, force: bool) -> Outcome:
    """Normalize one media and return its outcome.

    Raises:
        MediaServiceError: the cause would make every other media fail as well.
    """
    if not stored.has_audio:
        return Outcome(stored.media_id, Result.NO_AUDIO)
    account_id, media_id = stored.account_id, stored.media_id
    try:
        response = await with_retries(
            lambda: client.normalize_media(account_id, media_id, preset, force=force)
        )
    except MediaServiceError as error:
        if error.reason in _GONE:
            return Outcome(stored.media_id, Result.NO_AUDIO)
        if error.code in _FATAL_CODES or error.reason == "NORMALIZATION_OFF":
            raise
        return failure(stored.media_id, error)
    if not response.converted:
        return Outcome(stored.media_id, Result.CURRENT)
    return Outcome(stored.media_id, Result.CONVERTED, response.media.content_length)
