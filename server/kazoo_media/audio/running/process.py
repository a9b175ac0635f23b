"""A child process that converts: limited, watched, always reaped."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Self

from kazoo_media.audio.jobs import Report
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.running.evidence import report_of
from kazoo_media.audio.running.limits import NICE, kill_group, limit_cpu
from kazoo_media.audio.running.pipes import ReadPipe, WritePipe, error_pipe, input_pipe, output_pipe
from kazoo_media.audio.running.program import Program
from kazoo_media.audio.running.sandbox import programs_inside

_STDERR_BYTES = 8 * 1024
_PIPE_BYTES = 64 * 1024  # capacity of the pipe of stderr


@dataclass(frozen=True, slots=True)
class _Spawned:
    popen: subprocess.Popen[bytes]
    pidfd: int
    stdin: int
    stdout: int
    stderr: int

    def abandon(self) -> None:
        """Kill and reap. Blocks for a moment."""
        for fd in (self.stdin, self.stdout, self.stderr, self.pidfd):
            os.close(fd)
        kill_group(self.popen.pid)
        self.popen.wait()


class ConverterProcess:
    """A running child. The event loop reaps it even if no task waits for it.

    Attributes:
        stdin: What the child reads.
        stdout: What the child writes.
    """

    def __init__(self, spawned: _Spawned) -> None:
        self.stdin = WritePipe(spawned.stdin)
        self.stdout = ReadPipe(spawned.stdout)
        self._popen = spawned.popen
        self._pidfd = spawned.pidfd
        self._stderr: int | None = spawned.stderr
        self._complaints = b""
        self._exited = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(spawned.pidfd, self._reap)
        self._loop.add_reader(spawned.stderr, self._read_stderr)

    @classmethod
    async def start(cls, program: Program, confinement: Confinement) -> Self:
        """Return a child that waits for its input, with its limits set.

        Raises:
            OSError: the program cannot be started.
        """
        loop = asyncio.get_running_loop()
        # vfork and exec take a few ms: not on the loop.
        starting = loop.run_in_executor(None, _spawn, program, confinement)
        try:
            return cls(await asyncio.shield(starting))
        except asyncio.CancelledError:
            starting.add_done_callback(_abandon)
            raise

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, minus the signal if one ended it; None while it runs."""
        return self._popen.returncode

    @property
    def complaints(self) -> str:
        """Return the last part of the child's stderr."""
        return self._complaints.decode("utf-8", "replace")

    @property
    def report(self) -> Report:
        """Return the report in the child's stderr, which has the form of sox's."""
        return report_of(self.complaints)

    async def wait(self) -> None:
        """Return when the child has ended and is reaped."""
        await self._exited.wait()

    def allow_cpu(self, cpu_s: int) -> None:
        """Set the CPU limit again."""
        if not self._exited.is_set():
            pid = self._popen.pid
            for each in (pid, *programs_inside(pid)):
                with suppress(ProcessLookupError):
                    limit_cpu(each, cpu_s)

    def kill(self) -> None:
        """Kill the child and its children. It is reaped a moment later: see `wait`.

        SIGKILL: at SIGTERM sox runs exit handlers that corrupt its heap.
        """
        if not self._exited.is_set():
            kill_group(self._popen.pid)

    def close(self) -> None:
        """Close the pipes."""
        self.stdin.close()
        self.stdout.close()
        self._close_stderr()

    def _reap(self) -> None:
        # The group is killed before its leader is reaped: until then its id is not reused.
        kill_group(self._popen.pid)
        self._popen.poll()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        for _ in range(_PIPE_BYTES // _STDERR_BYTES):
            self._read_stderr()
        self._close_stderr()
        self.stdin.close()
        self._exited.set()

    def _read_stderr(self) -> None:
        if self._stderr is None:
            return
        with suppress(BlockingIOError):
            data = os.read(self._stderr, _STDERR_BYTES)
            self._complaints = (self._complaints + data)[-_STDERR_BYTES:]
            if not data:
                self._close_stderr()

    def _close_stderr(self) -> None:
        fd, self._stderr = self._stderr, None
        if fd is not None:
            self._loop.remove_reader(fd)
            os.close(fd)


def _spawn(program: Program, confinement: Confinement) -> _Spawned:
    command = confinement.command(program)
    with ExitStack() as service_side, ExitStack() as child_side:
        fds = []
        for new_pipe in (input_pipe, output_pipe, error_pipe):
            service_end, child_end = new_pipe()
            service_side.callback(os.close, service_end)
            child_side.callback(os.close, child_end)
            fds.append((service_end, child_end))
        popen = subprocess.Popen(
            command,
            stdin=fds[0][1],
            stdout=fds[1][1],
            stderr=fds[2][1],
            cwd=confinement.folder,
            env=confinement.environment,
            start_new_session=True,
        )
        service_side.callback(popen.wait)
        service_side.callback(kill_group, popen.pid)
        with suppress(OSError):
            os.setpriority(os.PRIO_PGRP, popen.pid, NICE)
        if not confinement.has_sandbox:
            # The child waits at its stdin: it reads nothing before it has these limits.
            for kind, both in program.resources().items():
                resource.prlimit(popen.pid, kind, both)
        pidfd = os.pidfd_open(popen.pid)
        service_side.pop_all()
        return _Spawned(popen, pidfd, fds[0][0], fds[1][0], fds[2][0])


def _abandon(starting: asyncio.Future[_Spawned]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        asyncio.get_running_loop().run_in_executor(None, starting.result().abandon)
