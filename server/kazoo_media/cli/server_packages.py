"""Imports of the server's packages, which an installation of the client alone does not have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kazoo_media.cli.output import fail


@contextmanager
def server_packages(command: str, extras: str) -> Iterator[None]:
    """Make one line on stderr and exit code 1 of a package that is missing.

    Commands import the server's packages in here, where they need them: the other commands start
    without them, and half a second sooner.

    Args:
        command: What the user typed.
        extras: The package extras that have what it needs, separated by commas.
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
