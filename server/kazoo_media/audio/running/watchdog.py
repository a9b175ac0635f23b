"""Ends a converter that is idle although it could work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.running.running_converter import RunningConverter

_MIB = 1024 * 1024


class Watchdog:
    """Counts the idle time of a converter that could work.

    It could work if its output is read and there is input or the input has ended.
    """

    def __init__(
        self,
        process: RunningConverter,
        limits: ConversionLimits,
        give_up: Callable[[str], None],
    ) -> None:
        """Start; `give_up` is called with the reason after too much idle time."""
        self._process = process
        self._limits = limits
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._fed_bytes = 0
        self._has_work = (
            False  # there is input that the converter has not taken, or the input has ended
        )
        self._is_read = False
        self._could_work_since = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._look()

    def fed(self, size_bytes: int) -> None:
        """Note that there is input that is not taken yet."""
        self._fed_bytes += size_bytes
        self._note_work(has_work=True)

    def taken(self) -> None:
        """Note that the converter has taken all input so far."""
        self._has_work = False

    def finished(self) -> None:
        """Note that the input has ended: from now on there is always work."""
        self._note_work(has_work=True)

    def reading(self, *, is_read: bool) -> None:
        """Note whether a task waits for output."""
        if is_read:
            self._could_work_since = self._loop.time()
        self._is_read = is_read

    def stop(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()

    def _note_work(self, *, has_work: bool) -> None:
        self._has_work = has_work
        self._could_work_since = self._loop.time()

    def _look(self) -> None:
        """Give up if the converter was idle for too long; otherwise check again later."""
        process = self._process
        if process.exit_code is not None:
            return
        now = self._loop.time()
        allowed = self._limits.stall_s + self._fed_bytes / _MIB * self._limits.stall_s_per_mib
        if not (self._has_work and self._is_read):
            self._could_work_since = now
        moved_at = max(process.stdin.moved_at, process.stdout.moved_at, self._could_work_since)
        if now - moved_at >= allowed:
            self._give_up(f"it did nothing for {allowed:.0f} s")
            return
        self._timer = self._loop.call_later(moved_at + allowed - now, self._look)
