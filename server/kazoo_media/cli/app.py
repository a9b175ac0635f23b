"""The command line: one typer application, one file for each command group."""

from __future__ import annotations

import typer

from kazoo_media.cli.serve import serve, worker

app = typer.Typer(
    help="A media service for telephony platforms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command(hidden=True)(worker)
