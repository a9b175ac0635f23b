"""What a test leaves behind does not fail the next one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import grpc
import grpc.aio
import pytest

from kazoo_media.transport.http1.messages import Messages
from tests.support.engines import ample_budget


@pytest.fixture
def nothing_is_collected() -> Iterator[None]:
    """Leave garbage where it is until a test collects it."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("nothing_is_collected")
async def test_channels_that_are_collected_in_the_service_s_code_do_not_block() -> None:
    await asyncio.to_thread(lambda: asyncio.run(_leave_a_channel()))
    messages = Messages(lambda _: gc.collect(), "identity", Mock(), ample_budget())
    messages.feed(bytes(5))
    assert await anext(messages) > 0


async def _leave_a_channel() -> None:
    channel = grpc.aio.insecure_channel("unix:/nowhere")
    rpc: Any = channel.unary_unary("/service/Method")
    call = rpc(b"")
    with pytest.raises(grpc.RpcError):
        await call
    cycle: list[object] = [channel, call]
    cycle.append(cycle)
