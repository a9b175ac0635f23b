"""One gateway for all REST tests of a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.gateway.rest.rig import Rest, Tenant


@pytest.fixture(scope="session")
def rest() -> Iterator[Rest]:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:  # a short path: sockets allow 107 characters
        running = Rest(Path(folder))
        yield running
        running.stop()
    structlog.reset_defaults()


@pytest.fixture
def tenant(rest: Rest) -> Tenant:
    """Return an account of the test's own, empty."""
    return rest.new_tenant()
