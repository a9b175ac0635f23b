"""Attempts: a limit on failed log-ins, for each client address and each account it tries.

A token bucket (a burst, then a rate); a log-in that succeeds costs nothing. Each worker counts for
itself: with N workers a client has up to N times as many attempts, which against 256-bit keys and
    slow hashes is still none.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kazoo_media.errors import InvalidCredentialsError, TooManyRequestsError

BURST = 30
SECONDS_EACH = 2.0
_REMEMBERED = 10_000


@dataclass(slots=True)
class _Bucket:
    left: float
    seen_s: float


class Attempts:
    """The failed log-ins of the last while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    @contextmanager
    def counted(self, peer: str, account: str) -> Iterator[None]:
        """Run a log-in; an InvalidCredentialsError in it counts.

        Args:
            peer: The client's address.
            account: What the client says it logs in to; "" with an API key.

        Raises:
            TooManyRequestsError: there were too many; the log-in is not tried.
        """
        bucket = self._bucket((peer, account))
        if bucket.left < 1:
            raise TooManyRequestsError(math.ceil((1 - bucket.left) * SECONDS_EACH))
        bucket.left -= 1  # before it runs: of many at once, no more than there are left may begin
        returned = 1
        try:
            yield
        except InvalidCredentialsError:
            returned = 0
            raise
        finally:
            bucket.left += returned

    def _bucket(self, key: tuple[str, str]) -> _Bucket:
        now_s = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(BURST, now_s))
        self._buckets.move_to_end(key)
        bucket.left = min(BURST, bucket.left + (now_s - bucket.seen_s) / SECONDS_EACH)
        bucket.seen_s = now_s
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return bucket
