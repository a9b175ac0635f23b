"""Recordings in dictionaries: a part of the metadata store for tests."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable

from typing_extensions import override

from kazoo_media.errors import ConflictError
from kazoo_media.metadata.recording_store import RecordingStore
from kazoo_media.model import Media, MediaQuery
from tests.support.matching import matches


class MemoryRecordingStore(RecordingStore):
    """Recordings among the media of the whole store."""

    def __init__(self) -> None:
        self._text_files: dict[str, dict[str, bytes]] = {}

    @abstractmethod
    def _live(self, account_id: str) -> Iterable[Media]:
        """Return the live media of an account."""

    @override
    async def list_recordings(
        self, account_id: str, query: MediaQuery, start: tuple[int, str] | None
    ) -> list[Media]:
        found = [
            each
            for each in self._live(account_id)
            if each.is_recording
            and matches(each, query)
            and (start is None or (each.created_ms, each.id) <= start)
        ]
        found.sort(key=lambda each: (each.created_ms, each.id), reverse=True)
        return copy.deepcopy(found[: query.limit])

    @override
    async def find_recording(self, account_id: str, file_name: str) -> str | None:
        for each in self._live(account_id):
            if each.is_recording and each.file_name == file_name != "":
                return each.id
        return None

    @override
    async def put_text_file(
        self, account_id: str, name: str, data: bytes, now_ms: int, limit: int
    ) -> None:
        if await self.find_recording(account_id, name):
            raise ConflictError(name)
        files = self._text_files.setdefault(account_id, {})
        files.pop(name, None)
        files[name] = data
        for each in list(files)[:-limit]:
            del files[each]

    @override
    async def get_text_file(self, account_id: str, name: str) -> bytes | None:
        return self._text_files.get(account_id, {}).get(name)
