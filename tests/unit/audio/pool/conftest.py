from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.audio.pool.pool_runs import PoolUnderTest


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[PoolUnderTest]:
    under_test = PoolUnderTest(tmp_path)
    yield under_test
    await under_test.aclose()
