"""Channels that cancel each other when sox mixes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kazoo_media.access.accounts import AdminScope, WriteScope
from kazoo_media.audio.levels import ONE_CHANNEL, has_level_warning
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.content.intake import Declared
from kazoo_media.model import Media, MediaQuery
from tests.support.audio_samples import cancelling_tone, measure, tone
from tests.support.core_fixtures import (
    CoreUnderTest,
    make_core,
    replace_content,
    source_of,
    stored_bytes,
)

_SCOPE = WriteScope("a" * 32)


@pytest.fixture
async def tested(tmp_path: Path) -> AsyncIterator[CoreUnderTest]:
    """Give a core whose conversions are made by sox, to one channel."""
    pool = ConverterPool(tmp_path)
    tested = await make_core(pool=pool)
    put = tested.core.settings.put
    await put(AdminScope(), "media", "normalize_destination_args", "-r 8000 -c 1", node=None)
    await put(AdminScope(), "media", "normalize_backend", "sox", node=None)
    yield tested
    await pool.aclose()


async def _uploaded(tested: CoreUnderTest, audio: bytes, preset: str) -> Media:
    created = await tested.core.library.create(_SCOPE, {"name": "n"}, "")
    declared = Declared(None, size_bytes=len(audio), preset=preset)
    return await replace_content(tested.core, _SCOPE, created.id, declared, source_of(audio))


async def _after_background(tested: CoreUnderTest, audio: bytes, preset: str) -> Media:
    """Return an uploaded media after the background has measured it, and mended it once."""
    core = tested.core
    mended: list[str] = []

    async def mend(found: Media) -> None:
        assert has_level_warning(found.document["normalization_warning"])
        await core.renormalization.use_one_channel(found)
        mended.append(found.id)
        await _uploaded(tested, tone(), preset)  # its turn comes after that of the mended one

    async def measured(count: int) -> None:
        while True:
            page = await core.library.list_page(_SCOPE, MediaQuery(limit=10))
            levels = [each.document.get("clipped_samples") for each in page.items]
            if len(levels) == count and None not in levels:
                return
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(core.measuring.run(mend))
        media = await _uploaded(tested, audio, preset)
        await measured(2)
        running.cancel()
    assert mended == [media.id]
    return await core.library.get(_SCOPE, media.id)


@pytest.mark.parametrize("preset", ["kazoo", "telephony"])
async def test_one_of_channels_that_cancel_each_other_is_served(
    tested: CoreUnderTest, preset: str
) -> None:
    media = await _after_background(tested, cancelling_tone(rate=44_100), preset)
    assert media.document["normalization_warning"] == ONE_CHANNEL
    assert media.document["normalization_preset"] == preset
    served = measure(await stored_bytes(tested.core, _SCOPE, media.id, None), "mp3")
    assert served.frequency_hertz == pytest.approx(440, rel=0.01)
    assert served.level_db == pytest.approx(-12, abs=1.5)


async def test_sound_that_no_channel_brings_back_is_tried_once(tested: CoreUnderTest) -> None:
    above_the_range = tone(1.0, rate=44_100, channels=2, frequency_hertz=15_000)
    media = await _after_background(tested, above_the_range, "kazoo")
    warning = media.document["normalization_warning"]
    assert warning.startswith(f"{ONE_CHANNEL}; the level fell from -6 to ")
