from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kazoo_media.audio.convert.converters import Converters
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.programs.ffmpeg import find_ffmpeg
from kazoo_media.audio.running.confinement import Confinement
from tests.unit.audio.convert.every import EVERY, Start, starting


@pytest.fixture(scope="module")
async def backends(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Converters]:
    """Give all converters: starting their pool takes half a second."""
    folder = tmp_path_factory.mktemp("conversions")
    pool = ConverterPool(folder)
    ffmpeg = await asyncio.to_thread(find_ffmpeg)
    yield Converters(Confinement(folder), pool, ffmpeg)
    await pool.aclose()


@pytest.fixture(params=EVERY)
def start(request: pytest.FixtureRequest, backends: Converters) -> Start:
    """Return what starts a conversion by Kazoo's command, or by a preset of each back end."""
    return starting(backends, request.param)
