"""What the recorders have learned, and what came of their recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from kazoo_media.client import backlog
from tests.torture.calls import Call


class Ledger:
    """Counts and recordings.

    Attributes:
        counts: Of what was done to the recorders.
        finished: Complete recordings with their media ids.
        left: Calls whose recorders went without a finish.
        acknowledged: How many bytes recorders know to be durable, by upload ids.
        lost_bytes: Acknowledged bytes that the service no longer had.
        problems: Everything that was not as it had to be.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.finished: list[tuple[Call, str]] = []
        self.left: list[Call] = []
        self.acknowledged: dict[str, int] = {}
        self.lost_bytes = 0
        self.problems: list[str] = []

    def place(self, upload_id: str, persisted_size: int) -> None:
        """Take note of where the service asks a recorder to go on."""
        known = self.acknowledged.get(upload_id)
        self.counts["resumes"] += known is not None
        if known is not None and known > persisted_size:
            self.lost_bytes += known - persisted_size
            text = f"{upload_id} goes on at {persisted_size}, {known} bytes were acknowledged"
            self.problems.append(text)
        self.acknowledged[upload_id] = persisted_size

    def acknowledge(self, upload_id: str, persisted_size: int) -> None:
        """Take note of an acknowledgement."""
        self.acknowledged[upload_id] = max(self.acknowledged.get(upload_id, 0), persisted_size)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See every answer that a recorder of this process gets."""
        place, acknowledge = backlog.Backlog.place, backlog.Backlog.acknowledge
        ledger = self

        async def watched_place(self: backlog.Backlog, persisted_size: int) -> None:
            ledger.place(self._spool.folder.name, persisted_size)
            await place(self, persisted_size)

        def watched_acknowledge(self: backlog.Backlog, persisted_size: int) -> None:
            ledger.acknowledge(self._spool.folder.name, persisted_size)
            acknowledge(self, persisted_size)

        backlog.Backlog.place = watched_place  # type: ignore[method-assign]
        backlog.Backlog.acknowledge = watched_acknowledge  # type: ignore[method-assign]
        try:
            yield
        finally:
            backlog.Backlog.place = place  # type: ignore[method-assign]
            backlog.Backlog.acknowledge = acknowledge  # type: ignore[method-assign]
