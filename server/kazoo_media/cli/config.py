"""`kazoo-media config`: the service's settings, Kazoo's system_config."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from google.protobuf.struct_pb2 import NULL_VALUE, Value

from kazoo_media.cli.output import as_json, print_json, print_table
from kazoo_media.cli.session import Session, calls_service
from kazoo_media.v1.settings_service_pb2 import Setting

app = typer.Typer(help="Settings; changes need no restart.", no_args_is_help=True)

_Category = Annotated[
    str, typer.Argument(help="Category of the setting, for example crossbar.media.")
]
_Key = Annotated[str, typer.Argument(help="Key of the setting, for example normalize_media.")]
_NewValue = Annotated[str, typer.Argument(help="The new value, converted to the setting's type.")]
_Node = Annotated[
    str, typer.Option(metavar="NAME", show_default="the answering node", help="Name of the node.")
]


@app.command()
@calls_service
async def get(
    session: Session,
    category: Annotated[str, typer.Argument(help="Only this category.")] = "",
    key: Annotated[str, typer.Argument(help="Print the value of this key and nothing else.")] = "",
    *,
    node: _Node = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the settings that apply to a node."""
    settings = await session.client.get_settings(category, key, node)
    if as_json:
        print_json([_fields(each) for each in settings])
    elif key:
        typer.echo(_text(settings[0]))
    else:
        print_table(
            ("category", "key", "value", "from", "description"),
            (
                (each.category, each.key, _text(each), _origin(each), each.description)
                for each in settings
            ),
        )


@app.command("set")
@calls_service
async def set_value(
    session: Session, category: _Category, key: _Key, value: _NewValue, *, node: _Node = ""
) -> None:
    """Set a value for one node."""
    new = Value(string_value=value)
    _confirm(await session.client.set_setting(category, key, new, node))


@app.command("set-default")
@calls_service
async def set_default(session: Session, category: _Category, key: _Key, value: _NewValue) -> None:
    """Set the value for all nodes without a value of their own."""
    new = Value(string_value=value)
    _confirm(await session.client.set_default_setting(category, key, new))


@app.command()
@calls_service
async def unset(
    session: Session,
    category: _Category,
    key: _Key,
    *,
    default: Annotated[
        bool, typer.Option("--default", help="Remove the value for all nodes instead.")
    ] = False,
    node: _Node = "",
) -> None:
    """Remove the value of one node, or with --default the value for all nodes."""
    null = Value(null_value=NULL_VALUE)
    if default:
        _confirm(await session.client.set_default_setting(category, key, null))
    else:
        _confirm(await session.client.set_setting(category, key, null, node))


@app.command()
@calls_service
async def flush(session: Session) -> None:
    """Make every worker read the settings again."""
    await session.client.flush_settings()


def _confirm(setting: Setting) -> None:
    """Print the value that now applies: a node's own value wins over the default for all nodes."""
    typer.echo(f"{setting.category}.{setting.key} = {_text(setting)} (from: {_origin(setting)})")


def _value(setting: Setting) -> object:
    value: object = as_json(setting.value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(setting: Setting) -> str:
    value = _value(setting)
    return value if isinstance(value, str) else json.dumps(value)


def _origin(setting: Setting) -> str:
    return Setting.Origin.Name(setting.origin).removeprefix("ORIGIN_").lower().replace("_", "-")


def _fields(setting: Setting) -> dict[str, Any]:
    return {
        "category": setting.category,
        "key": setting.key,
        "value": _value(setting),
        "origin": _origin(setting),
        "description": setting.description,
    }
