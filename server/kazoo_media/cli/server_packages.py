"""Imports of the server's packages, which are missing if only the client is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kazoo_media.cli.output import fail


@contextmanager
def server_packages(command: str, extras: str) -> Iterator[None]:
    """Report a missing package as one line on stderr, with exit code 1.

    Commands import the server's packages inside this block when they run, so all other commands
    work without these packages and start half a second earlier.

    Args:
        command: The name of the command.
        extras: The package extras that it needs, separated by commas.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "kazoo_media":
            raise
        fail(
            f"`kazoo-media {command}` needs the package {error.name}: "
            f"pip install 'kazoo-media[{extras}]'"
        )
