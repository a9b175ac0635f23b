"""A limit on failed log-ins, for each pair of client address and account.

The limit is a token bucket (a burst, then a rate); a successful log-in costs nothing. All workers
count in one shared file, so more workers do not give a client more attempts.

Theory of operation:

1. A bucket is one number, the time at which it is full again; each log-in postpones it. Source:
   ITU-T I.371, the generic cell rate algorithm.
2. The position of a bucket in the file is a keyed hash of its name, with a random key per file. Two
   names rarely share a bucket, and a client cannot search for a name that shares one with another
   client.
3. The file is small and in the page cache: reading or writing a number takes microseconds, less
   than a change of threads. Its space is allocated at the start, so log-ins work on a full disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kazoo_media.errors import InvalidCredentialsError, TooManyRequestsError

BURST = 30
SECONDS_EACH = 2.0
_BUCKETS = 1 << 18
_FULL_AT = struct.Struct("d")
_KEY_BYTES = 32
_FILE_BYTES = _KEY_BYTES + _BUCKETS * _FULL_AT.size


class LoginLimit:
    """Counts failed log-ins and refuses further ones above the limit."""

    def __init__(self, descriptor: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Count in a file that other processes may share.

        Args:
            descriptor: An open file, empty at first, readable and writable. The caller closes it
                after the last use of this object.
            clock: Time in seconds, the same in all processes.
        """
        self._descriptor, self._clock = descriptor, clock
        with self._locked():
            if os.fstat(self._descriptor).st_size != _FILE_BYTES:
                os.posix_fallocate(self._descriptor, 0, _FILE_BYTES)
                os.pwrite(self._descriptor, os.urandom(_KEY_BYTES), 0)
            self._key = os.pread(self._descriptor, _KEY_BYTES, 0)

    @contextmanager
    def attempt(self, peer: str, account: str) -> Iterator[None]:
        """Count the log-in that runs inside the block if it raises InvalidCredentialsError.

        Args:
            peer: The client's address.
            account: The account name or realm that the client sent; "" with an API key.

        Raises:
            TooManyRequestsError: too many log-ins have failed; the block does not run.
        """
        position = self._position(f"{peer}\0{account}")
        self._take(
            position
        )  # before the block, so that concurrent attempts cannot exceed the limit
        refund_s = SECONDS_EACH
        try:
            yield
        except InvalidCredentialsError:
            refund_s = 0.0
            raise
        finally:
            self._postpone(position, -refund_s)

    def _take(self, position: int) -> None:
        excess_s = self._postpone(position, SECONDS_EACH, limit_s=BURST * SECONDS_EACH)
        if excess_s > 0:
            raise TooManyRequestsError(retry_after_s=math.ceil(excess_s))

    def _postpone(self, position: int, by_s: float, limit_s: float = math.inf) -> float:
        """Postpone the time at which a bucket is full, unless it would exceed the limit.

        Return by how many seconds it would exceed the limit, at most 0 if it was postponed.
        """
        with self._locked():
            now_s = self._clock()
            full_at_s: float
            [full_at_s] = _FULL_AT.unpack(os.pread(self._descriptor, _FULL_AT.size, position))
            postponed_s = max(full_at_s, now_s) + by_s
            excess_s = postponed_s - now_s - limit_s
            if excess_s <= 0:
                os.pwrite(self._descriptor, _FULL_AT.pack(postponed_s), position)
        return excess_s

    def _position(self, name: str) -> int:
        digest = hashlib.blake2b(name.encode(), digest_size=8, key=self._key).digest()
        return _KEY_BYTES + int.from_bytes(digest) % _BUCKETS * _FULL_AT.size

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out inside the block, which takes microseconds."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
