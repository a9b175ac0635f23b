"""Work that one of several nodes does at a time, on one store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from typing_extensions import override

from kazoo_media.errors import StoreUnavailableError
from kazoo_media.upkeep.claimed import Claimed
from tests.support.memory_metadata import MemoryMetadataStore

_LEASE_S = 0.6
_SLOWLY_S = 0.05
"""After two such failures the rest of the lease is shorter than a pause."""


class _Store(MemoryMetadataStore):
    """A store that can be away for one of its users."""

    def __init__(self) -> None:
        super().__init__()
        self.away_for: set[str] = set()

    @override
    async def claim(self, name: str, holder: str, lease_ms: int) -> bool:
        if holder in self.away_for:
            await asyncio.sleep(_SLOWLY_S)
            raise StoreUnavailableError
        return await super().claim(name, holder, lease_ms)


class _Node:
    """A process that competes for the work."""

    def __init__(self, store: _Store, lease_s: float = _LEASE_S) -> None:
        self.works, self.rests = asyncio.Event(), asyncio.Event()
        self.claimed = Claimed(store, "upkeep", lease_s)
        self.task = asyncio.ensure_future(self.claimed.run([self._work]))

    async def _work(self) -> None:
        self.works.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.rests.set()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def _stop(node: _Node, store: _Store) -> None:
    del store
    await node.stop()


async def _cut_off(node: _Node, store: _Store) -> None:
    store.away_for.add(node.claimed._holder)


@pytest.mark.parametrize("end", [_stop, _cut_off])
async def test_another_node_goes_on_when_the_first_has_stopped(
    end: Callable[[_Node, _Store], Awaitable[None]],
) -> None:
    store = _Store()
    first = _Node(store)
    await asyncio.wait_for(first.works.wait(), 20)
    second = _Node(
        store, _LEASE_S / 10
    )  # it asks often, and so has the claim as soon as it is free
    await asyncio.sleep(2 * _LEASE_S)
    assert not second.works.is_set()
    assert not first.rests.is_set()
    await end(first, store)
    await asyncio.wait_for(second.works.wait(), 20)
    assert first.rests.is_set(), "both work"
    for node in (first, second):
        await node.stop()


async def test_a_failure_of_the_work_is_raised() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Claimed(MemoryMetadataStore(), "upkeep").run([fail])
