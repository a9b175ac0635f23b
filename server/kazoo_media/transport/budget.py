"""The memory that the incomplete requests of a worker take together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from kazoo_media.errors import OverloadedError

_READ_BYTES = 256 << 10
"""What one connection can add before it is counted: one read of a socket."""


class Budget:
    """Counts bytes that wait for the rest of their request.

    While it is spent, connections that wait for more stop reading, and requests that would begin to
    wait are refused. Requests that arrive in one piece take nothing. The second half is for callers
    who are known: strangers cannot keep them out.

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

    @property
    def is_half_spent(self) -> bool:
        """Return whether what is left is for known callers only."""
        return 2 * self.taken_bytes >= self._limit_bytes

    def take(self, size_bytes: int) -> None:
        """Count bytes that are held, also over the limit: they are there."""
        self.taken_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Count bytes that are no longer held, and resume as many holders as there is room for."""
        self.taken_bytes -= size_bytes
        if not self._waiting:
            return
        room = (self._limit_bytes - self.taken_bytes + _READ_BYTES - 1) // _READ_BYTES
        for holder in list(islice(self._waiting, max(room, 0))):
            self._waiting.pop(holder)()

    def wait(self, holder: object, resume: Callable[[], None]) -> None:
        """Call `resume` once there is room."""
        self._waiting[holder] = resume

    def forget(self, holder: object) -> None:
        """Do not resume a holder that has ended."""
        self._waiting.pop(holder, None)

    @contextmanager
    def lease(self, *, is_known: bool) -> Iterator[Callable[[int], None]]:
        """Give a function that takes bytes until the end of the block.

        The function raises OverloadedError if nothing is left for the caller.

        Args:
            is_known: Whether the caller is authenticated.
        """
        held = 0

        def take(size_bytes: int) -> None:
            nonlocal held
            if self.is_spent if is_known else self.is_half_spent:
                raise OverloadedError
            held += size_bytes
            self.take(size_bytes)

        try:
            yield take
        finally:
            self.give_back(held)
