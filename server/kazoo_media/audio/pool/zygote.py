"""The zygote: imports the audio packages and forks converters, which share its memory.

    python -I -m kazoo_media.audio.pool.zygote CONTROL_DESCRIPTOR

It is a fresh interpreter with one thread: a fork of the service would inherit locks of its threads.
It ends with the service, and its converters end with it.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from kazoo_media.audio.inprocess.session import warm_up
from kazoo_media.audio.pool.converter_main import converter_main
from kazoo_media.audio.pool.lockdown import Lockdown, become_converter, lock_down
from kazoo_media.audio.pool.messages import receive, send


def main() -> None:
    """Answer requests until the service closes the channel or ends."""
    control = socket.socket(fileno=int(sys.argv[1]))
    warm_up()
    gc.collect()
    gc.freeze()  # the collector writes into objects: their pages would not stay shared
    lockdown = lock_down()
    send(control, {"missing": lockdown.missing})
    while True:
        request, descriptors = receive(control)
        if request is None:
            return
        if request["do"] == "fork":
            answer = _fork(control, descriptors[0], lockdown)
        else:
            answer = {"exit_code": _reap(request["pid"])}
        send(control, answer)


def _fork(control: socket.socket, descriptor: int, lockdown: Lockdown) -> dict[str, Any]:
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(descriptor)
        return {"problem": error.strerror}
    if pid == 0:
        control.close()
        channel = socket.socket(fileno=descriptor)
        become_converter(parent, lockdown)
        converter_main(channel)
        os._exit(0)
    os.close(descriptor)
    with suppress(OSError):  # the child does it as well; either may come first
        os.setpgid(pid, pid)
    return {"pid": pid}


def _reap(pid: int) -> int:
    """Return the exit code of a converter, minus the signal if one ended it.

    A converter that has only closed its channel is ended now.
    """
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
