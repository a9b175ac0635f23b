"""Commands whose processes end with the process that starts them, also after a kill -9."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from kazoo_media.audio.running import tether
from kazoo_media.audio.running.limits import environment


def tethered(command: Sequence[str], kind: Literal["one", "group"] = "one") -> list[str]:
    """Return a command that runs another one, given by its absolute path, tied to this process.

    Args:
        kind: "group" if the process leads a process group, which then ends as a whole.
    """
    return [sys.executable, "-I", "-S", tether.__file__, kind, str(os.getpid()), *command]


def tethered_program(argv: Sequence[str], folder: Path) -> list[str]:
    """Return the command for a `ConverterProcess` that may ignore its pipes.

    Starting Python takes 15 ms: for programs of the operator. Those that the service knows end when
    their pipes close.

    Args:
        argv: A name, or a path that may be relative to the folder, and arguments.

    Raises:
        OSError: there is no such program.
    """
    name = argv[0] if os.sep not in argv[0] else str(folder / argv[0])
    found = shutil.which(name, path=environment(folder)["PATH"])
    if found is None:
        code = errno.EACCES if os.path.exists(name) else errno.ENOENT
        raise OSError(code, os.strerror(code), argv[0])
    return tethered([found, *argv[1:]], "group")
