"""How bytes of a body become messages, however they are cut."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_media.errors import InvalidCredentialsError, OverloadedError
from kazoo_media.transport.budget import Budget
from kazoo_media.transport.http1.messages import Messages
from kazoo_media.transport.refused import RefusedError
from kazoo_media.v1.media_service_pb2 import GetMediaRequest
from tests.support.engines import ample_budget


class _Flow:
    """Counts how often reading was paused and resumed."""

    def __init__(self) -> None:
        self.paused = self.resumed = 0

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.resumed += 1


def _messages(flow: _Flow, encoding: str = "identity") -> Messages:
    return Messages(None, encoding, flow, ample_budget())


def _framed(message: bytes, *, compressed: bool = False) -> bytes:
    return bytes([compressed]) + len(message).to_bytes(4, "big") + message


async def _all(messages: Messages) -> list[bytes]:
    return [message async for message in messages]


@given(
    st.lists(st.binary(max_size=40), max_size=8),
    st.lists(st.integers(min_value=1, max_value=20), min_size=1),
)
def test_messages_are_the_same_however_they_are_cut(wanted: list[bytes], cuts: list[int]) -> None:
    messages = _messages(_Flow())
    data = b"".join(map(_framed, wanted))
    number = 0
    while data:
        size = cuts[number % len(cuts)]
        messages.feed(data[:size])
        data, number = data[size:], number + 1
    messages.end()
    assert asyncio.run(_all(messages)) == wanted


async def test_a_message_that_is_cut_short_is_no_end() -> None:
    messages = _messages(_Flow())
    messages.feed(_framed(b"whole") + _framed(b"half")[:-1])
    messages.end()
    assert await anext(messages) == b"whole"
    with pytest.raises(RefusedError, match="truncated"):
        await anext(messages)


async def test_reading_pauses_until_messages_are_taken() -> None:
    flow = _Flow()
    messages = _messages(flow)
    for _ in range(40):
        messages.feed(_framed(bytes(64 << 10)))
    assert (flow.paused, flow.resumed) == (1, 0)
    for _ in range(40):
        await anext(messages)
    assert (flow.paused, flow.resumed) == (1, 1)


async def test_empty_messages_that_nobody_takes_pause_reading() -> None:
    flow = _Flow()
    messages = _messages(flow)
    messages.feed(_framed(b"") * 50_000)
    assert (flow.paused, flow.resumed) == (1, 0)
    for _ in range(50_000):
        assert await anext(messages) == b""
    assert flow.resumed == 1


async def test_compressed_messages_are_inflated_when_they_are_taken() -> None:
    messages = _messages(_Flow(), "gzip")
    compressed = _framed(gzip.compress(bytes(4 << 20)), compressed=True)
    tracemalloc.start()
    try:
        messages.feed(compressed * 20)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert await anext(messages) == bytes(4 << 20)


async def test_a_compressed_message_that_is_cut_short_is_refused() -> None:
    messages = _messages(_Flow(), "gzip")
    messages.feed(_framed(gzip.compress(b"a whole message")[:-9], compressed=True))
    with pytest.raises(RefusedError, match="truncated") as caught:
        await anext(messages)
    assert caught.value.code is grpc.StatusCode.INTERNAL


async def test_what_is_no_message_of_the_rpc_is_refused() -> None:
    flow = _Flow()
    messages = Messages(GetMediaRequest.FromString, "identity", flow, ample_budget())
    messages.feed(_framed(b"\xff\xff"))
    with pytest.raises(RefusedError, match="cannot be read") as caught:
        await anext(messages)
    assert caught.value.code is grpc.StatusCode.INTERNAL


async def _unknown() -> None:
    raise InvalidCredentialsError


async def test_the_large_message_of_a_stranger_is_not_received() -> None:
    flow, budget = _Flow(), ample_budget()
    messages = Messages(None, "identity", flow, budget, _unknown)
    messages.feed(_framed(bytes(64 << 10)) + _framed(bytes((64 << 10) + 1))[:-1])
    assert flow.paused == 1
    assert await anext(messages) == bytes(64 << 10)
    with pytest.raises(InvalidCredentialsError):
        await anext(messages)
    assert (flow.resumed, budget.taken_bytes) == (1, 0)


async def test_the_large_message_of_a_known_caller_is_received_after_a_question() -> None:
    flow, asked = _Flow(), asyncio.Event()

    async def known() -> None:
        asked.set()

    messages = Messages(None, "identity", flow, ample_budget(), known)
    messages.feed(_framed(bytes(100_000))[:9])
    assert flow.paused == 1
    await asked.wait()
    await asyncio.sleep(0)
    assert flow.resumed == 1
    messages.feed(_framed(bytes(100_000))[9:])
    assert await anext(messages) == bytes(100_000)


async def test_a_stranger_cannot_inflate_more_than_he_could_send() -> None:
    messages = Messages(None, "gzip", _Flow(), ample_budget(), _unknown)
    messages.feed(_framed(gzip.compress(bytes(64 << 10)), compressed=True))
    messages.feed(_framed(gzip.compress(bytes((64 << 10) + 1)), compressed=True))
    assert await anext(messages) == bytes(64 << 10)
    with pytest.raises(InvalidCredentialsError):
        await anext(messages)


async def test_half_messages_of_all_calls_have_one_budget() -> None:
    budget = Budget(1000)
    flows = [_Flow() for _ in range(3)]
    calls = [Messages(None, "identity", flow, budget) for flow in flows]
    half = _framed(bytes(600))[:-1]
    calls[0].feed(half)
    calls[1].feed(half)  # over it: the bytes have arrived, further ones wait
    assert [flow.paused for flow in flows] == [0, 1, 0]
    calls[2].feed(half)
    with pytest.raises(OverloadedError):
        await anext(calls[2])
    whole = Messages(None, "identity", _Flow(), budget)
    whole.feed(_framed(b"in one piece"))
    assert await anext(whole) == b"in one piece"
    calls[0].close()
    assert flows[1].resumed == 1
    calls[1].feed(b"\0")
    assert await anext(calls[1]) == bytes(600)
    for each in (*calls, whole):
        each.close()
    assert budget.taken_bytes == 0


async def test_strangers_have_half_of_the_budget() -> None:
    budget = Budget(1000)

    async def known() -> None:
        pass

    stranger, other = (Messages(None, "identity", _Flow(), budget, _unknown) for _ in range(2))
    caller = Messages(None, "identity", _Flow(), budget, known)
    half = _framed(bytes(600))[:-1]
    stranger.feed(half)
    other.feed(half[:9])
    with pytest.raises(InvalidCredentialsError):
        await anext(other)
    caller.feed(half[:9])
    await asyncio.sleep(0)
    caller.feed(half[9:] + b"\0")
    assert await anext(caller) == bytes(600)


def test_tiny_pieces_take_little_more_than_their_bytes() -> None:
    messages = _messages(_Flow())
    message = _framed(bytes(100_000))
    tracemalloc.start()
    try:
        for index in range(len(message) - 1):
            messages.feed(message[index : index + 1])
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_message_may_be_as_large_as_the_limit_and_no_larger(*, compressed: bool) -> None:
    messages = _messages(_Flow(), "gzip")
    for size in (4 << 20, (4 << 20) + 1):
        message = gzip.compress(bytes(size)) if compressed else bytes(size)
        messages.feed(_framed(message, compressed=compressed))
    assert await anext(messages) == bytes(4 << 20)
    with pytest.raises(RefusedError, match="limit") as caught:
        await anext(messages)
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_message_that_inflates_over_the_limit_is_refused_without_being_made() -> None:
    messages = _messages(_Flow(), "gzip")
    messages.feed(_framed(gzip.compress(bytes(64 << 20)), compressed=True))
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError, match="limit") as caught:
            await anext(messages)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("encoding", "code"),
    [("snappy", grpc.StatusCode.UNIMPLEMENTED), ("gzip", grpc.StatusCode.INTERNAL)],
)
async def test_what_can_not_be_inflated_is_refused(encoding: str, code: grpc.StatusCode) -> None:
    messages = _messages(_Flow(), encoding)
    messages.feed(_framed(b"no gzip", compressed=True))
    with pytest.raises(RefusedError, match=encoding) as caught:
        await anext(messages)
    assert caught.value.code is code
