"""Pauses between tries."""

from __future__ import annotations

import asyncio
import random

_FIRST_S = 0.1
_LONGEST_S = 5.0


class BackOff:
    """Pauses that double up to 5 s.

    Their lengths are random, so that clients that lost the same service do not all come back in the
    same moment.
    """

    def __init__(self) -> None:
        self._pause_s = _FIRST_S

    def reset(self) -> None:
        """Begin with short pauses again: there was progress."""
        self._pause_s = _FIRST_S

    async def wait(self) -> None:
        """Return after the next pause."""
        await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.5))  # noqa: S311
        self._pause_s = min(2 * self._pause_s, _LONGEST_S)
