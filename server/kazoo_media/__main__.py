"""The `kazoo-media` command."""

from __future__ import annotations

from kazoo_media.cli.app import app


def main() -> None:
    """Run the command line."""
    app(prog_name="kazoo-media")


if __name__ == "__main__":
    main()
