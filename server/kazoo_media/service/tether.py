"""Becomes another program that the kernel kills when its parent ends.

    python -S tether.py PARENT_PID PROGRAM ARGUMENT...

A program of its own, of the standard library alone: what asks the kernel must run in the child,
and the supervisor has threads, after whose fork no Python code may run.
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
    if os.getppid() == int(parent):  # else it ended before the kernel was asked
        os.execv(command[0], command)  # noqa: S606 - there is no shell to want


if __name__ == "__main__":
    main(sys.argv[1:])
