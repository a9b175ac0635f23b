"""One gateway for all REST tests of a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import create, upload
from tests.support.audio_samples import tone

SHELVED = tone(0.3)
"""The audio of the shelf."""


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


@pytest.fixture(scope="module")
def shelf(rest: Rest) -> Tenant:
    """Return an account with `wav`, `both` (MP3 made of WAV) and `none` without audio."""
    tenant = rest.new_tenant()
    for media_id in ("wav", "both", "none"):
        create(rest, tenant, id=media_id)
    upload(rest, tenant, "wav", SHELVED)
    rest.put_setting("crossbar.media", "normalize_media", value=True)
    try:
        upload(rest, tenant, "both", SHELVED)
    finally:
        rest.put_setting("crossbar.media", "normalize_media", value=None)
    return tenant
