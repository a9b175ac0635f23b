from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.audio.programs.sox_runs import Convert


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    return Convert(tmp_path)
