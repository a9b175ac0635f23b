"""One gateway for all REST tests of a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.rest.rig import Rest, Tenant


@pytest.fixture(scope="session")
def rest() -> Iterator[Rest]:
    with tempfile.TemporaryDirectory() as folder:  # a short path: sockets allow 107 characters
        running = Rest(Path(folder))
        yield running
        running.stop()


@pytest.fixture
def tenant(rest: Rest) -> Tenant:
    """Return an account of the test's own, empty."""
    return rest.new_tenant()
