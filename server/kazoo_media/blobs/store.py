"""The contract of a blob store: bytes under a key that is written once.

A key is 32 lower-case hex digits, random, never reused: nothing is overwritten, no reader ever sees
two versions. A driver knows nothing of accounts, digests, limits or types; the core has checked
them.

Raises, by every method: StorageFullError when there is no space, StoreUnavailableError when the
store does not answer.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

READ_CHUNK_BYTES = 512 * 1024
"""Most bytes that a reader yields at once: what passes Envoy's transcoder as one message, with room
to spare.
"""


def new_blob_key() -> str:
    """Return a key that nothing has had before."""
    return secrets.token_hex(16)


def blob_key_beside(key: str) -> str:
    """Return a key that nothing has had before, for a blob that is stored together with another:
    it costs less where they lie side by side, by the first byte of their keys.
    """
    return key[:2] + secrets.token_hex(15)


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What a listing shows.

    Attributes:
        published: False for bytes whose writer has not published them (yet, or ever).
        modified_ms: Unix time in milliseconds of the last write.
    """

    key: str
    size_bytes: int
    published: bool
    modified_ms: int


class BlobWriter(ABC):
    """One blob being written. Used by one task at a time; ends with `BlobStore.publish` or
    `discard`.
    """

    @abstractmethod
    async def write(self, chunks: Sequence[bytes]) -> None:
        """Append. The caller gives about a MiB at a time.

        Returns when the store has taken the bytes, so a slow store slows its caller down. What is
        less than a MiB may be kept in memory until the blob is published.
        """

    @abstractmethod
    async def overwrite_head(self, head: bytes) -> None:
        """Replace the first `len(head)` bytes, all of which were written before.

        A WAV from a pipe gets its right sizes this way.
        """

    @abstractmethod
    async def discard(self) -> None:
        """Remove what was written. Does nothing once the blob is published, or after an earlier
        `discard`; never raises.
        """


class BlobReader(ABC):
    """An open blob. Deleting the blob meanwhile does not disturb it."""

    size_bytes: int

    @abstractmethod
    def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield exactly `length` bytes from `offset`, at most READ_CHUNK_BYTES at once.

        The caller guarantees 0 <= offset and offset + length <= size_bytes.

        Raises:
            StoreUnavailableError: the bytes can not be read, or there are fewer than there should
                be.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Release the blob."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class BlobStore(ABC):
    """One place where blobs lie. Safe for concurrent use by tasks and processes, as long as keys
    differ.
    """

    @abstractmethod
    async def create(self, key: str) -> BlobWriter:
        """Return a writer for a new blob. It is invisible to `open` until it is published."""

    @abstractmethod
    async def publish(self, writers: Sequence[BlobWriter]) -> None:
        """Make the blobs of writers of this store durable, then readable, in one step. After it
        returns not even a power cut takes their bytes away.

        After an error none of them is there; after a cancellation any may be.
        """

    @abstractmethod
    async def open(self, key: str) -> BlobReader | None:
        """Return a reader of a published blob, or None."""

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Remove a blob, published or not. A key that does not exist is no error."""

    @abstractmethod
    def list(self) -> AsyncIterator[StoredBlob]:
        """Yield everything that lies here, in no order, unpublished leftovers too."""

    @abstractmethod
    async def aclose(self) -> None:
        """Release everything. Running reads and writes have ended before."""
