"""Becomes another program that the kernel kills when its parent ends.

    python -S tether.py PARENT_PID PROGRAM ARGUMENT...

A separate program with only the standard library: the call to the kernel must run in the child, and
no Python code may run after a fork of the supervisor, which has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>; kept across execve


def main(arguments: Sequence[str]) -> None:
    """Become the program, tied to the parent. Crashes are safe here, orphans are not."""
    parent, *command = arguments
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == int(parent):  # otherwise it ended before prctl was called
        os.execv(command[0], command)  # noqa: S606 - no shell is needed


if __name__ == "__main__":
    main(sys.argv[1:])
