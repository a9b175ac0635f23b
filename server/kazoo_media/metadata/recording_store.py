"""The contract of recordings that are complete."""

from __future__ import annotations

from abc import ABC, abstractmethod

from kazoo_media.model import Media, MediaQuery


class RecordingStore(ABC):
    """Recordings by time and by file name, and the texts that verify a storage plan."""

    @abstractmethod
    async def list_recordings(
        self, account_id: str, query: MediaQuery, start: tuple[int, str] | None
    ) -> list[Media]:
        """Return the first `query.limit` matching live recordings, the newest first.

        The order is by created time, then id, both descending; `start` has both of the first one.
        `query.start` is None. There may be fewer, as in `list_media`.
        """

    @abstractmethod
    async def find_recording(self, account_id: str, file_name: str) -> str | None:
        """Return the id of the live recording that has this file name, or None."""

    @abstractmethod
    async def put_text_file(
        self, account_id: str, name: str, data: bytes, now_ms: int, limit: int
    ) -> None:
        """Store a text in place of the one that has the name; keep the newest `limit` texts.

        Raises:
            ConflictError: a live recording has the name.
        """

    @abstractmethod
    async def get_text_file(self, account_id: str, name: str) -> bytes | None:
        """Return a text of an account, or None."""
