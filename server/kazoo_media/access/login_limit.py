"""Attempts: a limit on failed log-ins, for each client address and each account it tries.

A token bucket (a burst, then a rate); a log-in that succeeds costs nothing. All workers of a run
count in one file, so that a client has no more attempts where there are more of them.

Theory of operation:

1. A bucket is one number, the time at which it will be full again: a log-in puts it off. Source:
   ITU-T I.371, the generic cell rate algorithm.
2. Where a bucket lies follows from a keyed hash of its name; the key is the file's own. Two names
   that share one are rare, and nobody can look for a name that shares one with somebody else's.
3. The file is small and in the page cache: reading and writing a number there takes microseconds,
   too little for a thread. Its space is taken at the start, so that a full disk stops no log-ins.
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


class Attempts:
    """The failed log-ins of the last while."""

    def __init__(self, descriptor: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Count in a file, together with everybody who has opened the same.

        Args:
            descriptor: Of a file that is empty at first, open for reading and writing as long as
                this lives.
            clock: Seconds; the same for all.
        """
        self._descriptor, self._clock = descriptor, clock
        with self._alone():
            if os.fstat(self._descriptor).st_size != _FILE_BYTES:
                os.posix_fallocate(self._descriptor, 0, _FILE_BYTES)
                os.pwrite(self._descriptor, os.urandom(_KEY_BYTES), 0)
            self._key = os.pread(self._descriptor, _KEY_BYTES, 0)

    @contextmanager
    def counted(self, peer: str, account: str) -> Iterator[None]:
        """Run a log-in; an InvalidCredentialsError in it counts.

        Args:
            peer: The client's address.
            account: What the client says it logs in to; "" with an API key.

        Raises:
            TooManyRequestsError: there were too many; the log-in is not tried.
        """
        place = self._place(f"{peer}\0{account}")
        self._take(place)  # before it runs: of many at once, no more than there are left may begin
        returned_s = SECONDS_EACH
        try:
            yield
        except InvalidCredentialsError:
            returned_s = 0.0
            raise
        finally:
            self._put_off(place, -returned_s)

    def _take(self, place: int) -> None:
        missing_s = self._put_off(place, SECONDS_EACH, at_most_s=BURST * SECONDS_EACH)
        if missing_s > 0:
            raise TooManyRequestsError(math.ceil(missing_s))

    def _put_off(self, place: int, by_s: float, at_most_s: float = math.inf) -> float:
        """Move the time at which a bucket is full, unless it were more than `at_most_s` away then;
        return by how many seconds it were too far.
        """
        with self._alone():
            now_s = self._clock()
            full_at_s: float
            [full_at_s] = _FULL_AT.unpack(os.pread(self._descriptor, _FULL_AT.size, place))
            wanted_s = max(full_at_s, now_s) + by_s
            missing_s = wanted_s - now_s - at_most_s
            if missing_s <= 0:
                os.pwrite(self._descriptor, _FULL_AT.pack(wanted_s), place)
        return missing_s

    def _place(self, name: str) -> int:
        digest = hashlib.blake2b(name.encode(), digest_size=8, key=self._key).digest()
        return _KEY_BYTES + int.from_bytes(digest) % _BUCKETS * _FULL_AT.size

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out, for as long as it takes to change a number."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
