"""`kazoo-media accounts`: tenants, their API keys and tokens."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any

import typer

from kazoo_media.cli.failures import CommandError
from kazoo_media.cli.output import as_json, print_json, print_table
from kazoo_media.cli.session import Session, calls_service
from kazoo_media.v1.account_service_pb2 import Account, CreateAccountRequest, PlaybackKey

app = typer.Typer(help="Accounts, their API keys and tokens.", no_args_is_help=True)

_AccountId = Annotated[
    str, typer.Argument(metavar="[ID]", show_default="the API key's account", help="The account.")
]
_OfAccount = Annotated[
    str,
    typer.Option(metavar="ID", show_default="the API key's account", help="The account."),
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
@calls_service
async def create(  # noqa: PLR0913 - an argument for each option
    session: Session,
    name: Annotated[
        str,
        typer.Argument(help="Name of the account, 1 to 128 characters; no other account has it."),
    ],
    *,
    parent: Annotated[
        str,
        typer.Option(
            metavar="ID", show_default="the API key's account", help="Account to create it below."
        ),
    ] = "",
    realm: Annotated[str, typer.Option(help="SIP realm; no other account has it.")] = "",
    account_id: Annotated[
        str,
        typer.Option(
            "--id",
            metavar="ID",
            show_default="random",
            help="Its id, 32 lower-case hex digits; only superduper admins choose it.",
        ),
    ] = "",
    superduper_admin: Annotated[
        bool, typer.Option("--superduper-admin", help="Let it act on all accounts and settings.")
    ] = False,
    as_json: _AsJson = False,
) -> None:
    """Create an account and print its API key, which is never shown again."""
    created = await session.client.create_account(
        CreateAccountRequest(
            name=name,
            parent_id=parent,
            realm=realm,
            account_id=account_id,
            superduper_admin=superduper_admin,
        )
    )
    if as_json:
        print_json(_fields(created.account) | {"api_key": created.api_key})
    else:
        row = (created.account.id, created.account.name, created.api_key)
        print_table(("id", "name", "api_key"), [row])
        typer.echo("Keep the API key: it is not shown again.", err=True)


@app.command("list")
@calls_service
async def list_accounts(
    session: Session,
    *,
    ancestor: Annotated[
        str,
        typer.Option(
            metavar="ID",
            show_default="the API key's account; all for a superduper admin",
            help="Only accounts below this one.",
        ),
    ] = "",
    as_json: _AsJson = False,
) -> None:
    """List the accounts below the API key's account, or all accounts for a superduper admin."""
    accounts = [each async for each in session.client.list_accounts(ancestor)]
    if as_json:
        print_json([_fields(each) for each in accounts])
    else:
        _print(accounts)


@app.command()
@calls_service
async def get(session: Session, account_id: _AccountId = "", *, as_json: _AsJson = False) -> None:
    """Show one account."""
    account = await session.client.get_account(account_id)
    if as_json:
        print_json(_fields(account))
    else:
        _print([account])


@app.command("rotate-key")
@calls_service
async def rotate_key(session: Session, account_id: _AccountId = "") -> None:
    """Replace an account's API key, end all its tokens and print the new key.

    If the replaced key is the one in bootstrap.json, the new key is written there.
    """
    bootstrap = session.bootstrap
    api_key = await session.client.rotate_api_key(account_id)
    if bootstrap is not None and account_id in ("", bootstrap.account_id):
        dataclasses.replace(bootstrap, api_key=api_key).write(session.data_dir)
    typer.echo(api_key)


class _KeyScope(enum.StrEnum):
    """What a key may do."""

    PLAYBACK = "playback"


@app.command("add-key")
@calls_service
async def add_key(
    session: Session,
    account_id: _AccountId = "",
    *,
    scope: Annotated[
        _KeyScope, typer.Option(help="What the key may do: playback reads audio, nothing else.")
    ],
    name: Annotated[
        str, typer.Option(help="Name for people, perhaps of the switch that has the key.")
    ] = "",
    as_json: _AsJson = False,
) -> None:
    """Add a key to an account and print it; it is never shown again.

    A playback key reads audio over REST: as the password of HTTP Basic, or as ?key=.
    """
    del scope  # there is one
    made = await session.client.create_playback_key(account_id, name)
    if as_json:
        print_json(_key_fields(made.playback_key) | {"key": made.key})
    else:
        key = made.playback_key
        row = (key.id, key.name, key.account_id, made.key)
        print_table(("id", "name", "account_id", "key"), [row])
        typer.echo("Keep the key: it is not shown again.", err=True)


@app.command("keys")
@calls_service
async def list_keys(
    session: Session, account_id: _AccountId = "", *, as_json: _AsJson = False
) -> None:
    """List the playback keys of an account."""
    keys = await session.client.list_playback_keys(account_id)
    if as_json:
        print_json([_key_fields(each) for each in keys])
    else:
        rows = [(each.id, each.name, each.create_time.ToJsonString()) for each in keys]
        print_table(("id", "name", "created"), rows)


@app.command("remove-key")
@calls_service
async def remove_key(
    session: Session,
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `accounts keys` shows it.")],
    *,
    account: _OfAccount = "",
) -> None:
    """Remove a playback key, which from now on reads nothing."""
    await session.client.delete_playback_key(key_id, account)


@app.command("rotate-links")
@calls_service
async def rotate_links(session: Session, account_id: _AccountId = "") -> None:
    """End all links to the audio of an account, or with `system` of the shared media."""
    await session.client.rotate_links(account_id)


@app.command("add-user")
@calls_service
async def add_user(
    session: Session,
    name: Annotated[
        str, typer.Argument(help="Name of the user, 1 to 128 characters without a colon.")
    ],
    *,
    account: _OfAccount = "",
) -> None:
    """Add a user who may log in over REST, or change the password of an existing user.

    The command asks for the password and does not show it.
    """
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    user = await session.client.put_user(name, password, account)
    print_table(("owner_id", "name", "account_id"), [(user.id, user.name, user.account_id)])


@app.command()
@calls_service
async def token(session: Session) -> None:
    """Print a token for the API key, valid for an hour."""
    issued = await session.client.token()
    if not issued:
        raise CommandError("a token needs an API key: pass one with --api-key")
    typer.echo(issued)


def _fields(account: Account) -> dict[str, Any]:
    fields: dict[str, Any] = as_json(account, with_defaults=True)
    return fields


def _print(accounts: list[Account]) -> None:
    print_table(
        ("id", "name", "realm", "parent", "superduper_admin"),
        (
            (
                each.id,
                each.name,
                each.realm,
                each.ancestor_ids[-1] if each.ancestor_ids else "",
                "yes" if each.superduper_admin else "",
            )
            for each in accounts
        ),
    )


def _key_fields(key: PlaybackKey) -> dict[str, Any]:
    fields: dict[str, Any] = as_json(key, with_defaults=True)
    return fields
