"""The memory that the incomplete requests of a worker take together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kazoo_media.errors import OverloadedError

_READ_BYTES = 256 << 10
"""What one connection can add before it is counted: one read of a socket."""


class Budget:
    """Counts bytes that wait for the rest of their request.

    While it is spent, connections that wait for more stop reading, and requests that would begin to
    wait are refused. Requests that arrive in one piece take nothing.

    Attributes:
        taken_bytes: What is held now.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.taken_bytes = 0
        self._limit_bytes = limit_bytes
        self._waiting: dict[object, Callable[[], None]] = {}

    @property
    def is_spent(self) -> bool:
        """Return whether nothing is left."""
        return self.taken_bytes >= self._limit_bytes

    def take(self, size_bytes: int) -> None:
        """Count bytes that are held, also over the limit: they are there."""
        self.taken_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Count bytes that are no longer held, and let as many wait no longer as there is room."""
        self.taken_bytes -= size_bytes
        room = (self._limit_bytes - self.taken_bytes + _READ_BYTES - 1) // _READ_BYTES
        for holder in list(self._waiting)[: max(room, 0)]:
            self._waiting.pop(holder)()

    def wait(self, holder: object, resume: Callable[[], None]) -> None:
        """Call `resume` once there is room."""
        self._waiting[holder] = resume

    def forget(self, holder: object) -> None:
        """Do not resume a holder that has ended."""
        self._waiting.pop(holder, None)

    @contextmanager
    def lease(self) -> Iterator[Callable[[int], None]]:
        """Give a function that takes bytes until the end of the block.

        The function raises OverloadedError if the budget is spent.
        """
        held = 0

        def take(size_bytes: int) -> None:
            nonlocal held
            if self.is_spent:
                raise OverloadedError
            held += size_bytes
            self.take(size_bytes)

        try:
            yield take
        finally:
            self.give_back(held)
