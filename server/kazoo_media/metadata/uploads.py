"""The contract of the rows of recordings, and these rows.

A recording that is not finished is one upload row, the rows of its pieces and those of its tail.
Pieces and tail together hold exactly the bytes 0 to `persisted_size`, without gaps: the pieces
below `pieces_end`, the tail from there on.

What may happen to an upload is not decided here but in `recordings/states.py`: a store runs a
function of it on the row, in the transaction that stores the result. Such a function is pure, may
run more than once and in another thread, and changes nothing by raising a MediaError.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from kazoo_media.errors import MediaError
from kazoo_media.model import KEEP_NONE, Keep, Media


class UploadState(enum.StrEnum):
    """The life of an upload as it is stored; the first three are open."""

    RECEIVING = "receiving"
    INTERRUPTED = "interrupted"
    COMMITTING = "committing"
    FINISHED = "finished"
    DISCARDED = "discarded"


OPEN_STATES = (UploadState.RECEIVING, UploadState.INTERRUPTED, UploadState.COMMITTING)
"""The states of uploads whose bytes are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRow:
    """One upload.

    Attributes:
        epoch: Counts the streams; only the newest one may append.
        persisted_size: Bytes that are durable.
        crc32c: CRC-32C of these bytes.
        pieces_end: Where the tail begins.
        spec: What was asked for, as JSON; equal texts are equal specs. `append_tails` passes "".
        media_id: The id that the media has or will have.
        outside_pause: How a request masks what arrives, "" if none does.
        stream_pause: How the recorder masks it, "" if it does not.
        resumes: Whether the outside pause ends with the next flush.
        marks: The time line, a JSON array.
        ending: How the upload was ended, as JSON; "" before.
        holder: Node and process of the newest stream.
        touched_ms: When the row was last changed by a stream or a request.
        received_ms: When the last byte was stored; 0 before the first.
        error: Why the last attempt to make a media failed, "" if none has.
        is_archiving: Whether the finished recording is still to be converted.
        declared_size: How many bytes it will have, 0 if that is not known yet.
    """

    account_id: str
    id: str
    state: UploadState
    spec: str
    media_id: str
    created_ms: int
    touched_ms: int
    epoch: int = 1
    persisted_size: int = 0
    crc32c: int = 0
    pieces_end: int = 0
    outside_pause: str = ""
    stream_pause: str = ""
    resumes: bool = False
    marks: str = "[]"
    ending: str = ""
    holder: str = ""
    received_ms: int = 0
    error: str = ""
    is_archiving: bool = False
    declared_size: int = 0


UploadChange: TypeAlias = Callable[[UploadRow], UploadRow]
"""Returns the row after a change, or raises the MediaError for a change that is not permitted."""

TailChange: TypeAlias = Callable[[UploadRow], tuple[UploadRow, bytes]]
"""Returns the row after an append, and the bytes to keep: exactly those that the row has more."""


@dataclass(frozen=True, slots=True)
class TailAppend:
    """What a stream appends."""

    account_id: str
    upload_id: str
    change: TailChange


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an upload that is a blob.

    Attributes:
        offset: Of its first byte in the upload.
        sha256: Digest of the bytes, 64 lower-case hex digits.
    """

    account_id: str
    upload_id: str
    offset: int
    size_bytes: int
    blob_key: str
    sha256: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class OpenUploads:
    """What a store has of uploads in open states.

    Attributes:
        states: How many are in each of these states, by name.
        tail_bytes: Bytes in their tails together.
        oldest_ms: When the first of the interrupted ones was last touched; None: none is.
    """

    states: Mapping[str, int]
    tail_bytes: int = 0
    oldest_ms: int | None = None


class UploadStore(ABC):
    """Uploads, their pieces and their tails."""

    @abstractmethod
    async def open_upload(self, new: UploadRow, limit: int, change: UploadChange) -> UploadRow:
        """Add an upload, or change the one that has the id; return the stored row.

        Raises:
            TooManyUploadsError: the id is new, and the account has `limit` uploads in open states.
                Uploads that are added in the same moment may exceed it.
            MediaError: `change` raised it. Nothing changed.
        """

    @abstractmethod
    async def get_upload(self, account_id: str, upload_id: str) -> UploadRow | None:
        """Return an upload, or None."""

    @abstractmethod
    async def list_uploads(self, account_id: str, start: str, limit: int) -> list[UploadRow]:
        """Return uploads of an account with id >= `start`, by id, at most `limit`.

        If their specs are long together, over 1 Mi characters, there may be fewer, but at least
        two.
        """

    @abstractmethod
    async def list_idle_uploads(
        self, touched_before_ms: int, after: tuple[str, str], limit: int
    ) -> list[UploadRow]:
        """Return open uploads, and archiving ones, that were last touched before a time.

        They are of all accounts, in the order of account and id, from the first one after `after`,
        at most `limit`.
        """

    @abstractmethod
    async def count_open_uploads(self) -> OpenUploads:
        """Return how many uploads are open in all accounts, and how much of them is in tails."""

    @abstractmethod
    async def change_upload(
        self, account_id: str, upload_id: str, change: UploadChange
    ) -> UploadRow:
        """Change a row without its bytes; return the stored row.

        Raises:
            UploadNotFoundError: it does not exist.
            MediaError: `change` raised it. Nothing changed.
        """

    @abstractmethod
    async def append_tails(self, appends: Sequence[TailAppend]) -> list[UploadRow | MediaError]:
        """Append in this order in one transaction; return the stored rows in the same order.

        An append that raises a MediaError, or whose upload does not exist, changes nothing, has the
        error in its place, and does not hinder the others.
        """

    @abstractmethod
    async def read_upload(
        self, account_id: str, upload_id: str, offset: int, limit_bytes: int
    ) -> Piece | bytes:
        """Return the piece that has this byte, or bytes of the tail from it on.

        b"": there is no such byte, perhaps because the upload has ended. Bytes of the tail are at
        most `limit_bytes`.
        """

    @abstractmethod
    async def add_piece(self, piece: Piece, now_ms: int) -> bool:
        """Replace the beginning of the tail by a piece whose blob is pending; return whether it is.

        Its blob is live then. False: the tail does not begin at the piece's offset any more, or is
        shorter, or the blob is no longer pending. Nothing changed.
        """

    @abstractmethod
    async def commit_upload(
        self,
        change: UploadChange,
        upload_id: str,
        media: Media,
        expected_revision: str | None,
        keep: Keep = KEEP_NONE,
    ) -> None:
        """Make an upload a media: the commit point.

        In one transaction: the row is changed, the blobs of its pieces become dead, pieces and tail
        are removed, and the media is stored as `insert_media` does, or with an expected revision as
        `commit_content` does, at its modified time.

        Raises:
            UploadNotFoundError: it does not exist.
            MediaError: `change`, `insert_media` or `commit_content` raised it. Nothing changed.
        """

    @abstractmethod
    async def discard_upload(
        self, account_id: str, upload_id: str, change: UploadChange, now_ms: int
    ) -> UploadRow:
        """Change a row, kill the blobs of its pieces, and remove pieces and tail; return the row.

        Raises:
            UploadNotFoundError: it does not exist.
            MediaError: `change` raised it. Nothing changed.
        """

    @abstractmethod
    async def forget_uploads(self, touched_before_ms: int) -> int:
        """Remove the rows of uploads that are finished or discarded; return how many.

        Only those that were last touched before a time, archiving or not.
        """
