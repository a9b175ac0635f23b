"""Limits on failed log-ins: for each client address and subject, and for each client address.

A subject is what the client tries to log in to: an account, or the beginning of an API key. Clients
that share an address have own limits, unless they try the same subject; the limit of the address
alone is far larger. A limit is a token bucket (a burst, then a rate). Only failures count. All
workers count in one shared file, so more workers do not give a client more attempts.

Theory of operation:

1. A bucket is one number, the time at which it is full again; each failure postpones it. Source:
   ITU-T I.371, the generic cell rate algorithm.
2. The position of a bucket in the file is a keyed hash of its name, with a random key per file. Two
   names rarely share a bucket, and a client cannot search for a name that shares one with another
   client.
3. The file is small and in the page cache: reading or writing a number takes microseconds, less
   than a change of threads. Its space is allocated at the start, so log-ins work on a full disk.
4. A running attempt holds no place: many good log-ins at once do not refuse each other. Wrong ones
   at once may exceed the limit by as many as run at once; callers keep that number small.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import math
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kazoo_media.errors import InvalidCredentialsError, TooManyRequestsError

BURST, SECONDS_EACH = 30, 2.0
"""Failures for one subject from one address: at once, then one in so many seconds."""
ADDRESS_BURST, ADDRESS_SECONDS_EACH = 1000, 0.25
"""Failures from one address for any subjects. An office's address has many users."""
_BUCKETS = 1 << 18
_FULL_AT = struct.Struct("d")
_KEY_BYTES = 32
_FILE_BYTES = _KEY_BYTES + _BUCKETS * _FULL_AT.size


class LoginLimit:
    """Counts failed log-ins and refuses further ones above the limits."""

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

    def check(self, peer: str, subject: str) -> None:
        """Return if a log-in may be tried.

        Args:
            peer: The client's address.
            subject: What it tries to log in to.

        Raises:
            TooManyRequestsError: too many log-ins have failed.
        """
        with self._locked():
            now_s = self._clock()
            wait_s = max(each.wait_s(now_s) for each in self._buckets(peer, subject))
        if wait_s > 0:
            raise TooManyRequestsError(retry_after_s=math.ceil(wait_s))

    @contextmanager
    def attempt(self, peer: str, subject: str) -> Iterator[None]:
        """Check, and count the log-in that runs inside the block if it fails.

        One that is cancelled counts as failed. Otherwise clients could avoid the limit by leaving
        before the answer.

        Raises:
            TooManyRequestsError: too many log-ins have failed; the block does not run.
        """
        self.check(peer, subject)
        try:
            yield
        except (InvalidCredentialsError, asyncio.CancelledError):
            with self._locked():
                now_s = self._clock()
                for each in self._buckets(peer, subject):
                    each.count(now_s)
            raise

    def _buckets(self, peer: str, subject: str) -> Iterator[_Bucket]:
        for name, burst, seconds_each in (
            (f"{peer}\0{subject}", BURST, SECONDS_EACH),
            (peer, ADDRESS_BURST, ADDRESS_SECONDS_EACH),
        ):
            yield _Bucket(self._descriptor, self._position(name), burst, seconds_each)

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


@dataclass(frozen=True, slots=True)
class _Bucket:
    """One number in the file, which the caller has locked."""

    descriptor: int
    position: int
    burst: int
    seconds_each: float

    def wait_s(self, now_s: float) -> float:
        """Return in how many seconds another failure fits; at most 0: now."""
        return self._full_at_s(now_s) + (1 - self.burst) * self.seconds_each - now_s

    def count(self, now_s: float) -> None:
        """Postpone the time at which the bucket is full."""
        packed = _FULL_AT.pack(self._full_at_s(now_s) + self.seconds_each)
        os.pwrite(self.descriptor, packed, self.position)

    def _full_at_s(self, now_s: float) -> float:
        stored_s: float
        [stored_s] = _FULL_AT.unpack(os.pread(self.descriptor, _FULL_AT.size, self.position))
        return max(stored_s, now_s)
