"""The contract of earlier contents and of media that can be restored."""

from __future__ import annotations

from abc import ABC, abstractmethod

from kazoo_media.model import Keep, Media, Version


class VersionStore(ABC):
    """What media were before: earlier contents, and soft-deleted media.

    If `commit_content` replaces a content by one with another original, and more than one content
    is to be kept, the replaced one becomes a version and its blobs stay live. The oldest versions
    above the number to keep are removed, and all versions with their media: their blobs become
    dead.
    """

    @abstractmethod
    async def list_versions(self, account_id: str, media_id: str) -> list[Version]:
        """Return the earlier contents of a media, the newest first."""

    @abstractmethod
    async def restore_version(
        self, media: Media, expected_revision: str, number: int, keep: Keep, now_ms: int
    ) -> None:
        """Make an earlier content, which is `media.content`, the content of a live media.

        The present content becomes a version. Versions above the number to keep are removed, as in
        `commit_content`.

        Raises:
            StaleRevisionError: no live media has this id and `expected_revision`, or it has no
                version with this number. Nothing changed.
        """

    @abstractmethod
    async def get_deleted_media(self, account_id: str, media_id: str) -> Media | None:
        """Return a soft-deleted media with its content, or None."""

    @abstractmethod
    async def restore_media(self, media: Media, expected_revision: str) -> None:
        """Make a soft-deleted media live again, with this document and revision.

        Raises:
            StaleRevisionError: no soft-deleted media has this id and `expected_revision`.
            ConflictError: it is a recording, and a live one has its file name.
        """
