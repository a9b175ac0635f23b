"""What holds in every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

pytest.register_assert_rewrite("tests.contract")


@pytest.fixture(autouse=True)
def blocking_calls_fail() -> Iterator[None]:
    """Fail a test in which the service's own code blocks an event loop.

    Only calls with a frame of kazoo_media below them count: tests and libraries may block.
    """
    with blockbuster_ctx("kazoo_media") as blocking:
        # Loggers, and coverage, share one lock; only tests have several event loops in a process.
        lock = blocking.functions["threading.Lock.acquire"]
        lock.can_block_in("structlog/_output.py", {"msg"})
        lock.can_block_in("coverage/collector.py", {"lock_data"})
        yield
