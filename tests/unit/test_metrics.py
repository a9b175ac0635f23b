"""Turns: waiting is counted, and ends however the wait ends."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.counted import Counted


async def test_waiting_for_a_turn_is_counted() -> None:
    metrics, turns = Counted(), asyncio.Semaphore(1)
    got = asyncio.Event()

    async def wait() -> None:
        async with metrics.turn("speech", turns):
            got.set()

    async with metrics.turn("speech", turns), asyncio.TaskGroup() as group:
        group.create_task(wait())
        await asyncio.sleep(0)
        assert metrics.value("queue_length", queue="speech") == 1
        turns.release()
        await got.wait()
        assert metrics.value("queue_length", queue="speech") == 0
        await turns.acquire()
    assert metrics.value("queue_wait_seconds_count", queue="speech") == 2


async def test_one_that_stops_waiting_is_no_longer_counted_and_has_no_turn() -> None:
    metrics, turns = Counted(), asyncio.Semaphore(1)

    async def wait() -> None:
        async with metrics.turn("speech", turns):
            pytest.fail("it has a turn")

    async with metrics.turn("speech", turns):
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert metrics.value("queue_length", queue="speech") == 0
    assert not turns.locked()
    assert metrics.value("queue_wait_seconds_count", queue="speech") == 1
