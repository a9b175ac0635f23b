"""The contract of a blob store: bytes under a key that is written once.

A key is 32 random lower-case hex digits and is never reused, so no reader ever sees two versions. A
driver knows nothing about accounts, digests, limits or types; the core has checked them.

Every method raises StorageFullError when there is no space, StoreUnavailableError when the store
does not answer.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

READ_CHUNK_BYTES = 256 * 1024
"""Maximum bytes that a reader yields at once: well below Envoy's limit for one message."""


def new_blob_key() -> str:
    """Return a new key."""
    return secrets.token_hex(16)


def blob_key_beside(key: str) -> str:
    """Return a new key for a blob that is published together with another.

    Both begin with the same byte, so a driver may store them in one folder at a lower cost.
    """
    return key[:2] + secrets.token_hex(15)


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """One entry of a listing.

    Attributes:
        published: False for bytes whose writer has not published them (yet, or ever).
        modified_ms: Unix time in milliseconds of the last write.
    """

    key: str
    size_bytes: int
    published: bool
    modified_ms: int


class BlobWriter(ABC):
    """One blob being written, by one task at a time.

    It ends with `BlobStore.publish` or `discard`.
    """

    @abstractmethod
    async def write(self, chunks: Sequence[bytes]) -> None:
        """Append about 1 MiB at a time.

        Returns when the store has taken the bytes, so a slow store slows its caller down. Less than
        1 MiB may stay in memory until the blob is published.
        """

    @abstractmethod
    async def overwrite_head(self, head: bytes) -> None:
        """Replace the first `len(head)` bytes, all of which were written before.

        Only for a writer that was created with `head_changes`.

        This corrects the sizes in a WAV header that came from a pipe.
        """

    @abstractmethod
    async def discard(self) -> None:
        """Remove what was written; never raises.

        Does nothing if the blob is published or discarded already.
        """


class BlobReader(ABC):
    """An open blob. It stays readable if the blob is deleted and the store keeps open blobs."""

    size_bytes: int

    @abstractmethod
    def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield exactly `length` bytes from `offset`, at most READ_CHUNK_BYTES at once.

        The caller guarantees 0 <= offset and offset + length <= size_bytes.

        Raises:
            StoreUnavailableError: the bytes cannot be read, or some are missing.
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
    """A store of blobs. Tasks and processes may use it concurrently with different keys.

    Attributes:
        keeps_open_blobs: Whether an open blob stays readable when it is deleted. Where it does not,
            the sweeper protects readers: it deletes blobs long after the last document used them.
        worthwhile_bytes: A smaller blob costs as much as one of this size. Who can wait collects.
    """

    keeps_open_blobs: bool = True
    worthwhile_bytes: int = 256 * 1024

    @property
    def uncached(self) -> BlobStore:
        """Return the store of the same blobs without a cache, for blobs that are read once."""
        return self

    def link(self, key: str, lifetime_s: int, content_type: str, disposition: str) -> str | None:
        """Return a URL at which the store itself serves a blob to anybody; None: it does not.

        Args:
            lifetime_s: How long the URL is valid.
            content_type: Content-Type of the answer.
            disposition: Content-Disposition of the answer.
        """
        del key, lifetime_s, content_type, disposition
        return None

    async def forget_copy(self, key: str) -> None:
        """Drop what a cache has of a blob that is not what was committed; never raises."""
        del key

    @abstractmethod
    async def create(self, key: str, *, head_changes: bool = False) -> BlobWriter:
        """Return a writer for a new blob. It is invisible to `open` until it is published.

        Args:
            head_changes: Whether `overwrite_head` may be called. A store that cannot change what
                it has sent away then keeps all bytes until the blob is published.
        """

    @abstractmethod
    async def publish(self, writers: Sequence[BlobWriter]) -> None:
        """Make the blobs of writers of this store durable, then readable, in one step.

        Once it returns, the bytes survive a power cut. After an error none of the blobs exists;
        after a cancellation any of them may exist.
        """

    @abstractmethod
    async def open(self, key: str, *, in_background: bool = False) -> BlobReader | None:
        """Return a reader of a published blob, or None.

        Args:
            in_background: Whether other reads and writes go first, and the bytes come from the
                storage itself, not from a cache.
        """

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Remove a blob, published or not. An unknown key is not an error."""

    @abstractmethod
    def list(self) -> AsyncIterator[StoredBlob]:
        """Yield all blobs in no particular order, including unpublished leftovers."""

    @abstractmethod
    async def aclose(self) -> None:
        """Release all resources. No reads or writes are running."""
