"""The command line: one typer application, one file per command group."""

from __future__ import annotations

import typer

from kazoo_media.cli import accounts, config, languages, media, prompts
from kazoo_media.cli.fsck import fsck
from kazoo_media.cli.normalize import normalize
from kazoo_media.cli.serve import gateway_worker, serve, worker
from kazoo_media.cli.transfers import download, upload
from kazoo_media.cli.voices import voices

app = typer.Typer(
    help="Media service for telephony: music on hold, prompts, text-to-speech, recordings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(worker)
app.command(hidden=True)(gateway_worker)
app.add_typer(accounts.app, name="accounts")
app.add_typer(config.app, name="config")
app.add_typer(prompts.app, name="prompts")
app.add_typer(languages.app, name="languages")
app.add_typer(media.app, name="media")
app.command()(normalize)
app.command()(voices)
app.command()(upload)
app.command()(download)
app.command()(fsck)
