"""`kazoo-media accounts`: tenants, their API keys and tokens."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from kazoo_media.cli.output import as_json, print_json, print_table
from kazoo_media.cli.session import CommandError, Session, calls_service
from kazoo_media.v1.account_service_pb2 import Account, CreateAccountRequest

app = typer.Typer(help="Accounts, their API keys and tokens.", no_args_is_help=True)

_AccountId = Annotated[
    str, typer.Argument(metavar="[ID]", show_default="the API key's", help="The account.")
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
@calls_service
async def create(  # noqa: PLR0913 - an argument for each option
    session: Session,
    name: Annotated[str, typer.Argument(help="1 to 128 characters.")],
    *,
    parent: Annotated[str, typer.Option(help="Account above it; else the API key's.")] = "",
    realm: Annotated[str, typer.Option(help="SIP realm.")] = "",
    account_id: Annotated[str, typer.Option("--id", help="32 hex digits; else made up.")] = "",
    superduper_admin: Annotated[
        bool, typer.Option("--superduper-admin", help="May act on every account and setting.")
    ] = False,
    as_json: _AsJson = False,
) -> None:
    """Create an account and print its API key, this one time."""
    made = await session.client.create_account(
        CreateAccountRequest(
            name=name,
            parent_id=parent,
            realm=realm,
            account_id=account_id,
            superduper_admin=superduper_admin,
        )
    )
    if as_json:
        print_json(_fields(made.account) | {"api_key": made.api_key})
    else:
        print_table(("id", "name", "api_key"), [(made.account.id, made.account.name, made.api_key)])
        typer.echo("Keep the API key: it is not shown again.", err=True)


@app.command("list")
@calls_service
async def list_accounts(
    session: Session,
    *,
    ancestor: Annotated[str, typer.Option(help="Only accounts below this one.")] = "",
    as_json: _AsJson = False,
) -> None:
    """List the accounts below the API key's; for a superduper admin all."""
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
    """Replace an account's API key, end all its tokens, print the new key.

    Where the key in bootstrap.json is the one replaced, the new one takes its place there.
    """
    own = session.bootstrap
    api_key = await session.client.rotate_api_key(account_id)
    if own is not None and account_id in ("", own.account_id):
        dataclasses.replace(own, api_key=api_key).write(session.data_dir)
    typer.echo(api_key)


@app.command("add-user")
@calls_service
async def add_user(
    session: Session,
    name: Annotated[str, typer.Argument(help="1 to 128 characters, no colon.")],
    *,
    account: Annotated[str, typer.Option(help="Account of the user; else the API key's.")] = "",
) -> None:
    """Let somebody log in over REST with name and password, which is asked for and not shown.

    A user who exists already gets the new password.
    """
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    user = await session.client.put_user(name, password, account)
    print_table(("owner_id", "name", "account_id"), [(user.id, user.name, user.account_id)])


@app.command()
@calls_service
async def token(session: Session) -> None:
    """Print a token for the API key, good for an hour."""
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
