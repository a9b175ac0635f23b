"""What the recorders have learned, and what came of their recordings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from kazoo_media.client import backlog
from tests.torture.calls import Call
from tests.torture.files import PutFile, TusUpload


class Ledger:
    """Counts and recordings.

    Attributes:
        counts: Of what was done to the recorders.
        finished: Complete recordings over gRPC with their media ids.
        left: Calls whose recorders went without a finish.
        tus: Uploads by tus, finished or not.
        puts: Whole files, acknowledged or not.
        lost_bytes: Acknowledged bytes that the service no longer had.
        problems: Everything that was not as it had to be.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.finished: list[tuple[Call, str]] = []
        self.left: list[Call] = []
        self.tus: list[TusUpload] = []
        self.puts: list[PutFile] = []
        self.lost_bytes = 0
        self.problems: list[str] = []
        # By recorder: answers to one may arrive later than those to its successor.
        self._acknowledged: dict[str, dict[str, int]] = defaultdict(dict)

    @property
    def recording_count(self) -> int:
        """Return how many recordings have to be compared."""
        return len(self.finished) + len(self.left) + len(self.tus) + len(self.puts)

    def finished_counts(self) -> tuple[int, int, int]:
        """Return how many recordings were acknowledged over gRPC, by tus, by PUT."""
        tus = sum(each.is_finished for each in self.tus)
        return len(self.finished), tus, sum(each.acknowledged is not None for each in self.puts)

    def place(self, upload_id: str, recorder: str, persisted_size: int) -> None:
        """Take note of where the service asks a recorder to go on."""
        known = self._acknowledged[upload_id].get(recorder)
        self.counts["resumes"] += known is not None
        if known is not None and known > persisted_size:
            self.lose(upload_id, known, persisted_size)
        self._acknowledged[upload_id][recorder] = persisted_size

    def acknowledge(self, upload_id: str, recorder: str, persisted_size: int) -> None:
        """Take note of an acknowledgement."""
        known = self._acknowledged[upload_id].get(recorder, 0)
        self._acknowledged[upload_id][recorder] = max(known, persisted_size)

    def acknowledged(self, upload_id: str) -> int:
        """Return how many bytes of an upload one of its recorders knows to be durable."""
        return max(self._acknowledged[upload_id].values(), default=0)

    def lose(self, upload_id: str, acknowledged_bytes: int, persisted_size: int) -> None:
        """Take note that the service has less than it has acknowledged."""
        self.lost_bytes += acknowledged_bytes - persisted_size
        self.problems.append(
            f"{upload_id} has {persisted_size} bytes, {acknowledged_bytes} were acknowledged"
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See every answer that a recorder of this process gets."""
        place, acknowledge = backlog.Backlog.place, backlog.Backlog.acknowledge
        ledger = self

        async def watched_place(self: backlog.Backlog, persisted_size: int) -> None:
            ledger.place(*_names(self), persisted_size)
            await place(self, persisted_size)

        def watched_acknowledge(self: backlog.Backlog, persisted_size: int) -> None:
            ledger.acknowledge(*_names(self), persisted_size)
            acknowledge(self, persisted_size)

        backlog.Backlog.place = watched_place  # type: ignore[method-assign]
        backlog.Backlog.acknowledge = watched_acknowledge  # type: ignore[method-assign]
        try:
            yield
        finally:
            backlog.Backlog.place = place  # type: ignore[method-assign]
            backlog.Backlog.acknowledge = acknowledge  # type: ignore[method-assign]


def _names(source: backlog.Backlog) -> tuple[str, str]:
    """Return the upload and the recorder: one that goes on after its end has the same spool."""
    folder = source._spool.folder
    return folder.name, str(folder)
