"""A process that the supervisor keeps running.

Until the service is live, the log lines of a child are held back: a start that fails is one line.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import structlog

from kazoo_media.audio.running.tethered import tethered
from kazoo_media.config import child_environment
from kazoo_media.service.logs import forward_lines, write_lines
from kazoo_media.start_error import StartError

_STOP_TIMEOUT_S = 5.0
_LAST_LINES_S = 1.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
_KEPT_PIECES = 1000

END_RECORDINGS = signal.SIGUSR1
"""Tells a worker to make its recordings durable and to end their streams."""

_log = structlog.get_logger()


class Child:
    """A process that is kept running.

    Attributes:
        name: Its name in the log.
        restarts: How often it was started again.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        refusal: Callable[[str], StartError | None],
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        """Keep what to run.

        Args:
            name: See `Child`.
            command: Program and arguments.
            variables: Additions to the environment.
            refusal: Returns why the process did not start, from its log; None if it has no reason.
            forget: Called whenever the process has ended.
        """
        self.name = name
        self.restarts = 0
        self._command = tethered(command)
        self._variables = variables
        self._refusal = refusal
        self._forget = forget
        self._process: asyncio.subprocess.Process | None = None
        self._ending = asyncio.Event()
        self._restarts = False
        self._start_log: deque[bytes] = deque(maxlen=_KEPT_PIECES)
        self._shows = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Return the id of the process while it runs."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    def show_lines(self) -> None:
        """Write the log lines that were held back, and from now on each line at once."""
        with self._lock:
            if not self._shows:
                self._shows = True
                for lines in self._start_log:
                    write_lines(lines)

    def restart_from_now_on(self) -> None:
        """Restart the process when it ends; until now that ends the start."""
        self._restarts = True
        self.show_lines()
        self._start_log.clear()

    async def keep(self) -> None:
        """Run the process until `end`; restart it when it ends earlier.

        Raises:
            StartError: it ended before `restart_from_now_on`.
        """
        pause_s = _FIRST_PAUSE_S
        while not self._ending.is_set():
            started = time.monotonic()
            code = await self._run()
            if self._ending.is_set():
                return
            if not self._restarts:
                raise self._failure(code)
            if time.monotonic() - started > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            self.restarts += 1
            _log.error("restarting", child=self.name, exit_code=code, pause_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _failure(self, code: int) -> StartError:
        log = b"\n".join(self._start_log).decode(errors="replace")
        found = self._refusal(log)
        if found is None:
            self.show_lines()
            found = StartError.about(
                self.name, f"it ended with code {code}", "see the log lines above"
            )
        return found

    async def _run(self) -> int:
        """Run the process to its end, forward its log lines, and return its exit code."""
        sink, forwarding = forward_lines(self._take)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=child_environment(self._variables),
                stdin=asyncio.subprocess.DEVNULL,
                stderr=sink,
                start_new_session=True,
            )
        finally:
            os.close(sink)
        code = await self._process.wait()
        await asyncio.to_thread(self._forget)
        # Children of the process may live a moment longer and keep the pipe open.
        await asyncio.to_thread(forwarding.join, _LAST_LINES_S)
        return code

    def _take(self, lines: bytes) -> None:
        with self._lock:
            if self._shows:
                write_lines(lines)
            if not self._restarts:
                self._start_log.append(lines)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the process if it runs. One that still starts would not know it."""
        if self._restarts and self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def end(self) -> None:
        """Ask the process to end; kill it after a while."""
        self._ending.set()
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            _log.warning("killing", child=self.name)

    async def wait(self) -> None:
        """Return when the process has ended and is reaped."""
        if self._process is not None:
            await self._process.wait()

    def kill(self) -> None:
        """End the process at once."""
        self._ending.set()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
