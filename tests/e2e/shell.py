"""A shell in which the commands are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest.mock import patch

from blockbuster import BlockBuster
from structlog.testing import capture_logs
from typer.testing import CliRunner
from typing_extensions import override

from kazoo_media.cli.app import application
from tests.support.names import unique_name

_CONFIGURE_LOGGING = "kazoo_media.service.logs.configure_logging"


class Shell:
    """Runs commands in a folder, with the product's data folder in the environment."""

    def __init__(self, data_dir: Path, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("KAZOO_MEDIA_")},
            "KAZOO_MEDIA_DATA_DIR": str(data_dir),
        }

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "kazoo_media", *arguments],
            cwd=self.folder,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr."""
        with self.start(*arguments, **variables) as process:
            out, err = process.communicate(timeout=50)
        return process.returncode, out, err

    def ok(self, *arguments: str, **variables: str) -> str:
        """Return the stdout of a command that succeeds."""
        code, out, err = self.run(*arguments, **variables)
        assert code == 0, err
        return out

    def fails(self, *arguments: str, code: int = 1, **variables: str) -> str:
        """Return the stderr of a command that fails: one line for code 1."""
        found, _, err = self.run(*arguments, **variables)
        assert found == code, err
        assert "Traceback" not in err
        if code == 1:
            assert len(err.splitlines()) == 1, err
        return err

    def account(self, *options: str) -> dict[str, Any]:
        """Return a new account with its key."""
        command = ("accounts", "create", unique_name("Acme"), "--json", *options)
        made: dict[str, Any] = json.loads(self.ok(*command))
        return made


class QuickShell(Shell):
    """A shell that runs commands in this process: all but those that run the service.

    What a command is given and gives is the same, without the start of a process. `start` starts
    one, for what a test does to it.
    """

    def __init__(self, data_dir: Path, folder: Path, blocking: BlockBuster) -> None:
        """As for a Shell; commands may block, since their loop has no other work."""
        super().__init__(data_dir, folder)
        self._blocking = blocking

    @override
    def run(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        foreign = {k: None for k in os.environ if k.startswith("KAZOO_MEDIA_")}
        environment = {**foreign, **self.environment, **variables}
        self._blocking.deactivate()
        try:
            # The logs of this process are not the command's.
            with chdir(self.folder), patch(_CONFIGURE_LOGGING), capture_logs():
                done = CliRunner().invoke(
                    application(arguments[0]), arguments, env=environment, catch_exceptions=False
                )
        finally:
            self._blocking.activate()
        return done.exit_code, done.stdout, done.stderr
