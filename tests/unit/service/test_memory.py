"""What a worker does not need any more is given back."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from kazoo_media.service import memory


class _Call:
    """A call that ended with its own task's exception: it refers to itself."""

    def __init__(self) -> None:
        self.buffer = bytearray(1 << 18)
        self.itself = self


@pytest.fixture
def _no_automatic_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.usefixtures("_no_automatic_collection")
async def test_what_refers_to_itself_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PERIOD_S", 0)
    is_freed = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        giving = tasks.create_task(memory.give_memory_back())
        await asyncio.sleep(0)
        weakref.finalize(_Call(), is_freed.set)
        await is_freed.wait()
        giving.cancel()
