"""The service's side of a converter process, and the run of one job on it."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

import structlog

from kazoo_media.audio.jobs import Job, Measurement, Report
from kazoo_media.audio.pool.messages import receive_untrusted, send
from kazoo_media.audio.pool.zygote_client import ZygoteClient
from kazoo_media.audio.running.limits import kill_group, limit_cpu, used_cpu_s
from kazoo_media.audio.running.pipes import ReadPipe, WritePipe

_log = structlog.get_logger()


class Run:
    """One job, from its message to its report or to the end of its process.

    Attributes:
        stdin: The pipe that the job reads.
        stdout: The pipe that the job writes.
        exit_code: None while it runs; 0 if there is a report, otherwise the process's.
    """

    def __init__(self, converter: Converter, stdin: WritePipe, stdout: ReadPipe) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.exit_code: int | None = None
        self._report: Report | None = None
        self._converter = converter
        self._cpu_s_before = used_cpu_s(converter.pid)
        self._ended = asyncio.Event()

    @property
    def report(self) -> Report:
        """Return the report at its end."""
        return self._report or Report()

    async def wait(self) -> None:
        """Return when the job has ended; a process that ended with it is then reaped."""
        await self._ended.wait()

    def allow_cpu(self, cpu_s: int) -> None:
        """Set the CPU limit of the job again."""
        if not self._ended.is_set():
            with suppress(ProcessLookupError):
                limit_cpu(self._converter.pid, math.ceil(self._cpu_s_before + cpu_s))

    def kill(self) -> None:
        """Kill the process if the job still runs; see `wait`."""
        if not self._ended.is_set():
            self._converter.kill()

    def close(self) -> None:
        """Close the pipes."""
        self.stdin.close()
        self.stdout.close()

    def end(self, exit_code: int, report: Report | None) -> None:
        """Keep the exit code and the report."""
        self.exit_code, self._report = exit_code, report
        self.stdin.close()  # no task reads it any more
        self._ended.set()


class Converter:
    """A converter of the pool, idle or running a job."""

    def __init__(
        self,
        pid: int,
        channel: socket.socket,
        zygote: ZygoteClient,
        when_idle: Callable[[Converter], None],
        when_gone: Callable[[Converter], None],
    ) -> None:
        """Watch a converter.

        Args:
            when_idle: Called when a run has ended with a report and the process can be used again.
            when_gone: Called when the process has ended and is reaped.
        """
        self.pid = pid
        self._channel = channel
        self._zygote = zygote
        self._when_idle = when_idle
        self._when_gone = when_gone
        self._run: Run | None = None
        self._leaving: asyncio.Future[None] | None = None
        self._gone = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(channel, self._receive)

    def take(self, job: Job | Measurement, descriptors: Sequence[int]) -> Self:
        """Send it a job; the caller calls `begin` immediately afterwards.

        Raises:
            OSError: the process has ended.
        """
        try:
            kind = "job" if isinstance(job, Job) else "measurement"
            send(self._channel, {kind: job.to_fields()}, descriptors)
        except OSError:
            self.dismiss()
            raise
        return self

    def begin(self, stdin: WritePipe, stdout: ReadPipe) -> Run:
        """Return the run of the job that was sent."""
        self._run = Run(self, stdin, stdout)
        return self._run

    def kill(self) -> None:
        """Kill the process. It is reaped a moment later."""
        kill_group(self.pid)

    def dismiss(self) -> None:
        """End the process, even during a job. It is reaped a moment later."""
        if self._leaving is None:
            self._loop.remove_reader(self._channel)
            self._channel.close()
            self._leaving = asyncio.ensure_future(self._reap())

    async def wait(self) -> None:
        """Return when a dismissed or killed process has ended."""
        await self._gone.wait()

    async def _reap(self) -> None:
        exit_code = await self._zygote.reap(self.pid)
        run, self._run = self._run, None
        if run is not None:
            run.end(exit_code, None)
        self._gone.set()
        self._when_gone(self)

    def _receive(self) -> None:
        try:
            message = receive_untrusted(self._channel)
        except BlockingIOError:
            return
        run, report = self._run, _report_of(message)
        if message is None or run is None or report is None:
            self.dismiss()
            return
        self._run = None
        run.end(0, report)
        if message[0].get("worn"):
            self.dismiss()
        else:
            self._when_idle(self)


def _report_of(message: tuple[Mapping[str, Any], bytes] | None) -> Report | None:
    """Return the report in a message, or None."""
    if message is None:
        return None
    fields, raw = message
    if fields.get("trace"):
        _log.error("a conversion failed unexpectedly", trace=fields["trace"])
    try:
        return Report.from_fields(fields["report"], raw)
    except (LookupError, TypeError, ValueError):
        return None
