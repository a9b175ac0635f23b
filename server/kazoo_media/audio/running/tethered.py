"""Commands whose processes end with the process that starts them, also after a kill -9."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Literal

from kazoo_media.audio.running import tether


def tethered(command: Sequence[str], kind: Literal["one", "group"] = "one") -> list[str]:
    """Return a command that runs another one, given by its absolute path, tied to this process.

    Starting Python takes 15 ms.

    Args:
        kind: "group" if the process leads a process group, which then ends as a whole.
    """
    return [sys.executable, "-I", "-S", tether.__file__, kind, str(os.getpid()), *command]
