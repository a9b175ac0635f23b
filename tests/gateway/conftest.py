"""The gateway in front of stub workers, once for all tests of this folder that do not disturb
it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.running import Gateway


@pytest.fixture
def runtime() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kazoo-media-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    with (
        tempfile.TemporaryDirectory(prefix="kazoo-media-test-") as folder,
        Gateway(Path(folder)) as running,
    ):
        yield running


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.rest_url, timeout=20) as client:
        yield client


@pytest.fixture
def http2(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.rest_url, timeout=20, http1=False, http2=True) as client:
        yield client
