"""How commands report errors that a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kazoo_media.cli.output import fail
from kazoo_media.config import ConfigError


class CommandError(Exception):
    """A command cannot go on; the text says why and what to do."""


@contextmanager
def failures_reported() -> Iterator[None]:
    """Report errors that a user can act on as one line on stderr, with exit code 1."""
    try:
        yield
    except (CommandError, ConfigError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
