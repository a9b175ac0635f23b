"""The command line: one typer application, one file per command group."""

from __future__ import annotations

from importlib import import_module

import typer

_FILES = {
    "serve": "serve",
    "worker": "serve",
    "normalize": "normalize",
    "voices": "voices",
    "upload": "transfers",
    "download": "transfers",
    "link": "transfers",
    "record": "recording",
    "tail": "recording",
    "uploads": "uploads",
    "fsck": "fsck",
    "accounts": "accounts",
    "config": "config",
    "prompts": "prompts",
    "languages": "languages",
    "media": "media",
}
"""Where each command lies: a function of its name, or the typer application of a group."""


def application(name: str = "") -> typer.Typer:
    """Return the command line with the command of this name; with all if there is none such.

    A start that imports only its own command takes half the time.
    """
    app = typer.Typer(
        help="Media service for telephony: music on hold, prompts, text-to-speech, recordings.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_program)
    for each in [name] if name in _FILES else _FILES:
        module = import_module(f"kazoo_media.cli.{_FILES[each]}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=each)
        else:
            app.command(each)(getattr(module, each))
    return app


def _program() -> None:
    """Media service for telephony: music on hold, prompts, text-to-speech, recordings."""
