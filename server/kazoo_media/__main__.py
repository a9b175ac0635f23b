"""The `kazoo-media` command."""

from __future__ import annotations

import gc

# Nothing that the imports make is garbage: looking for some, then and at the end, is a fifth of
# what a command costs.
gc.disable()

from kazoo_media.cli.app import app  # noqa: E402


def main() -> None:
    """Run the command line."""
    gc.freeze()
    gc.enable()
    app(prog_name="kazoo-media")


if __name__ == "__main__":
    main()
