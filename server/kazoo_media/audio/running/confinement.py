"""Where the programs of a worker run: in its sandbox, or without one where it does not work."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Self

from kazoo_media.audio.running.limits import environment
from kazoo_media.audio.running.program import Program
from kazoo_media.audio.running.sandbox import INSIDE, Sandbox
from kazoo_media.audio.running.tethered import tethered


class Confinement:
    """Turns programs into commands; threads may share it.

    Attributes:
        folder: Working folder of the commands.
    """

    def __init__(self, folder: Path) -> None:
        """Confine programs by their limits alone; their temporary files are in this folder."""
        self.folder = folder
        self._sandbox: Sandbox | None = None
        self._hidden: Path | None = None
        self._lock = threading.Lock()

    @classmethod
    def by_sandbox(cls, folder: Path, hidden: Path) -> Self:
        """Return a confinement by a sandbox, to be closed; blocks.

        On a full disk the sandbox is made when a program needs it.

        Raises:
            OSError: this system has no sandbox; the text says why.
        """
        confinement = cls(folder)
        confinement._hidden = hidden
        try:
            confinement._sandbox = Sandbox.open(folder, hidden)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        return confinement

    @property
    def has_sandbox(self) -> bool:
        """Return whether programs run in a sandbox."""
        return self._hidden is not None

    @property
    def environment(self) -> dict[str, str]:
        """Return the whole environment of a program."""
        return environment(INSIDE if self.has_sandbox else str(self.folder))

    def command(self, program: Program) -> list[str]:
        """Return what to execute; blocks.

        In a sandbox the program has its limits when it starts. Otherwise the caller sets them.

        Raises:
            OSError: there is no such program, or the sandbox has ended and cannot be made again.
        """
        command = program.command(self.folder)
        if self._hidden is not None:
            return self._running(self._hidden).command(command, program.resources())
        return command if program.ends_with_pipes else tethered(command, "group")

    def close(self) -> None:
        """Kill what still runs in the sandbox; blocks for a moment."""
        if self._sandbox is not None:
            self._sandbox.close()

    def _running(self, hidden: Path) -> Sandbox:
        with self._lock:
            if self._sandbox is not None and self._sandbox.is_running():
                return self._sandbox
            self.close()
            self._sandbox = None
            self._sandbox = Sandbox.open(self.folder, hidden)
            return self._sandbox
