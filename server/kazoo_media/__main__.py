"""The `kazoo-media` command."""

from __future__ import annotations

import gc
import sys

# The imports create no garbage. Collecting during them and at exit takes a fifth of a command's
# time.
gc.disable()

from kazoo_media.cli.app import application  # noqa: E402


def main() -> None:
    """Run the command line."""
    app = application(*sys.argv[1:2])
    gc.freeze()
    gc.enable()
    app(prog_name="kazoo-media")


if __name__ == "__main__":
    main()
