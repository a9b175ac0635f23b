"""The service's side of the zygote, which forks converters and reports their exit codes."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import structlog

from kazoo_media.audio.jobs import ENVIRONMENT
from kazoo_media.audio.pool.messages import channel, receive_untrusted, send
from kazoo_media.audio.running.limits import environment, kill_group

_log = structlog.get_logger()

_MOST_ASKED = 64
"""Maximum number of pending requests: a socket holds about 250 that the zygote has not read."""


class ZygoteClient:
    """A running zygote. It answers in the order of the requests."""

    def __init__(self, popen: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._popen = popen
        self._control = control
        self._room = asyncio.Semaphore(_MOST_ASKED)
        self._answers: deque[asyncio.Future[Mapping[str, Any]]] = deque()
        self._is_alive = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control, self._receive)

    @classmethod
    async def open(cls, folder: Path) -> Self:
        """Return a zygote that is ready to fork.

        Args:
            folder: Its working directory.

        Raises:
            OSError: it cannot be started, or it ended during the start.
        """
        service_end, other_end = channel()
        with other_end:
            try:
                popen = await asyncio.to_thread(_spawn, other_end.fileno(), folder)
            except BaseException:
                service_end.close()
                raise
        service_end.setblocking(False)  # noqa: FBT003
        zygote = cls(popen, service_end)
        try:
            ready = await zygote._next_answer()
        except BaseException:
            await zygote.aclose()
            raise
        if ready["missing"]:
            _log.warning("converter processes are less confined here", missing=ready["missing"])
        return zygote

    @property
    def is_alive(self) -> bool:
        """Return whether it accepts requests."""
        return self._is_alive

    async def fork(self) -> tuple[int, socket.socket]:
        """Return the process id of a new converter and the service's end of its channel.

        Raises:
            OSError: the zygote has ended or cannot fork.
        """
        service_end, other_end = channel()
        with other_end, ExitStack() as opened:
            opened.callback(service_end.close)
            answer = await self._ask({"do": "fork"}, other_end.fileno())
            if "pid" not in answer:
                raise OSError(errno.EAGAIN, answer["problem"])
            service_end.setblocking(False)  # noqa: FBT003
            opened.pop_all()
            return answer["pid"], service_end

    async def reap(self, pid: int) -> int:
        """Return the exit code of a converter, minus the signal if one ended it.

        Its process group has ended.
        """
        kill_group(pid)
        try:
            return int((await self._ask({"do": "reap", "pid": pid}))["exit_code"])
        except OSError:
            return -signal.SIGKILL  # the kernel has killed it with its zygote

    async def aclose(self) -> None:
        """End it and all its converters."""
        self._close()
        self._popen.kill()
        await asyncio.to_thread(self._popen.wait)

    async def _ask(self, request: Mapping[str, Any], *descriptors: int) -> Mapping[str, Any]:
        async with self._room:
            if not self._is_alive:
                raise OSError(errno.ECHILD, "the process that starts converters has ended")
            try:
                send(self._control, request, descriptors)
            except OSError:
                self._close()
                raise
            return await self._next_answer()

    async def _next_answer(self) -> Mapping[str, Any]:
        answer: asyncio.Future[Mapping[str, Any]] = self._loop.create_future()
        self._answers.append(answer)
        return await asyncio.shield(answer)

    def _receive(self) -> None:
        try:
            message = receive_untrusted(self._control)
        except BlockingIOError:
            return
        if message is None:
            self._close()
        else:
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_result(message[0])

    def _close(self) -> None:
        if not self._is_alive:
            return
        self._is_alive = False
        self._loop.remove_reader(self._control)
        self._control.close()
        while self._answers:
            ended = OSError(errno.ECHILD, "the process that starts converters has ended")
            self._answers.popleft().set_exception(ended)


def _spawn(control: int, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # -I: neither the working directory nor a variable adds an import path.
        [sys.executable, "-I", "-m", "kazoo_media.audio.pool.zygote", str(control)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=environment(str(folder)) | ENVIRONMENT,
        pass_fds=[control],
        start_new_session=True,
    )
