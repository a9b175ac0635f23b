"""Becomes another program that the kernel kills when its parent ends.

    python -I -S tether.py one|group PARENT_PID PROGRAM ARGUMENT...

`group` is for a program that leads a process group and may have children, which the kernel would
not kill: a watcher kills the whole group.

A separate program with only the standard library: the call to the kernel must run in the child, and
no Python code may run after a fork of the parent, which has threads.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>; kept across execve


def main(arguments: Sequence[str]) -> None:
    """Become the program, tied to the parent. Crashes are safe here, orphans are not."""
    kind, parent, *command = arguments
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if kind == "group":
        _leave_watcher(int(parent))
    if os.getppid() != int(parent):  # it ended before prctl was called
        return
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, a program must not
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 - no shell is needed
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


def _leave_watcher(parent: int) -> None:
    """Fork twice: a program must not find a child that it has not started."""
    watched = os.pidfd_open(parent)
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            for descriptor in range(3):  # the service waits for the end of the output
                os.close(descriptor)
            select.select([watched], [], [])
            os.killpg(0, signal.SIGKILL)
        os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
