"""How often a test repeats what can fail by chance."""

from __future__ import annotations

import os


def repetitions(usual: int, thorough: int) -> int:
    """Return the first; in `make test-long` the second."""
    return thorough if os.environ.get("KAZOO_TEST_LONG") else usual
