"""Calls over REST are counted once, by the status or by how they broke off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.operations import Resource, Target
from kazoo_media.crossbar.servicer import CrossbarServicer
from kazoo_media.crossbar.v2.crossbar_service_pb2 import DownloadRawRequest
from tests.support.core_fixtures import make_core
from tests.support.counted import Counted
from tests.support.engines import ample_budget

_Call = Callable[..., Awaitable[dict[str, float]]]


class Context:
    """A call of a client that gets everything."""

    def __init__(self, verb: str) -> None:
        self._verb = verb

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("x-rest-method", self._verb),)

    async def send_initial_metadata(self, metadata: object) -> None:
        pass


async def _rest(*, is_broken: bool) -> AsyncGenerator[bytes, None]:
    yield b"second"
    if is_broken:
        raise RuntimeError("the disk is gone")
    yield b"third"


@pytest.fixture
async def call(monkeypatch: pytest.MonkeyPatch) -> _Call:
    """Return a function that makes a call and returns how often it was counted, by code."""
    metrics = Counted()
    core = (await make_core()).core
    make = partial(CrossbarServicer, core, ample_budget(), metrics, "node", "1")
    servicer = await asyncio.to_thread(make)

    async def call(
        verb: str = "GET", *, is_broken: bool = False, leaves: bool = False
    ) -> dict[str, float]:
        async def answer(*_: object) -> Answer:
            return Answer(206, b"first", rest=_rest(is_broken=is_broken))

        monkeypatch.setattr(servicer, "_answer", answer)
        handler = servicer.handler(
            "DownloadRaw", lambda *_: Target(Resource.CONTENT), has_body=False
        )
        context: Any = Context(verb)
        pieces = handler(DownloadRawRequest(), context)
        async for _ in pieces:
            if leaves:
                await pieces.aclose()
        labels = {"surface": "rest", "rpc": "DownloadRaw"}
        counted = {
            code: metrics.value("requests_total", code=code, **labels)
            for code in ("206", "499", "500")
        }
        return {code: count for code, count in counted.items() if count}

    return call


@pytest.mark.parametrize("verb", ["GET", "HEAD"])
async def test_a_whole_answer_counts_by_its_status(call: _Call, verb: str) -> None:
    assert await call(verb) == {"206": 1}


async def test_an_answer_that_breaks_off_counts_as_a_failure(call: _Call) -> None:
    with capture_logs():
        assert await call(is_broken=True) == {"500": 1}


async def test_a_client_that_leaves_before_the_end_counts_as_such(call: _Call) -> None:
    assert await call(leaves=True) == {"499": 1}
