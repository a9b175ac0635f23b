"""The port of the metrics: one page, and clients that cannot disturb each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kazoo_media.config import Address
from kazoo_media.service import metrics_port
from kazoo_media.service.metrics_port import MOST_CLIENTS, serving_metrics
from kazoo_media.start_error import StartError
from tests.support.product import free_port

_GET = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


def _text() -> bytes:
    return b"some_metric 1\n"


def _address() -> Address:
    return Address("127.0.0.1", free_port())


async def _ask(address: Address, request: bytes) -> bytes:
    """Return all that is answered until the connection is closed."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


async def test_get_metrics_is_answered() -> None:
    address = _address()
    async with serving_metrics(address, _text):
        answer = await _ask(address, _GET)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\nsome_metric 1\n")
        assert b"Content-Type: text/plain; version=0.0.4" in answer


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1",
        b"GET /metrics/ HTTP/1.1",
        b"GET /metricsx HTTP/1.1",
        b"POST /metrics HTTP/1.1",
        b"HEAD /metrics HTTP/1.1",
        b"GET /../metrics HTTP/1.1",
        b"GET http://a/metrics HTTP/1.1",
        b"\x16\x03\x01",
    ],
)
async def test_anything_else_is_not_found(line: bytes) -> None:
    address = _address()
    async with serving_metrics(address, _text):
        answer = await _ask(address, line + b"\r\nHost: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"some_metric" not in answer


async def test_a_head_that_is_too_large_is_disconnected() -> None:
    address = _address()
    async with serving_metrics(address, _text):
        with pytest.raises((ConnectionError, AssertionError)):
            assert await _ask(address, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000)


async def test_a_slow_client_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port, "_CLIENT_S", 0.05)
    address = _address()
    async with serving_metrics(address, _text):
        assert await _ended(address, b"GET /met")


async def test_more_clients_than_the_limit_are_disconnected_and_do_not_stop_the_others() -> None:
    address = _address()
    async with serving_metrics(address, _text):
        waiting = [await asyncio.open_connection(*address) for _ in range(MOST_CLIENTS)]
        assert await _ended(address, _GET)
        for reader, writer in waiting:
            writer.write(_GET)
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()
        assert (await _ask(address, _GET)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("error", [OSError, ValueError])
async def test_metrics_that_cannot_be_read_are_unavailable(error: type[Exception]) -> None:
    def fail() -> bytes:
        raise error

    address = _address()
    async with serving_metrics(address, fail):
        assert (await _ask(address, _GET)).startswith(b"HTTP/1.1 503 ")


async def test_a_port_in_use_is_named() -> None:
    address = _address()
    async with serving_metrics(address, _text):
        with pytest.raises(StartError, match=f"KAZOO_MEDIA_METRICS_PORT={address}: .*in use"):
            await _serve(address, _text)


async def _serve(address: Address, publish: Callable[[], bytes]) -> None:
    async with serving_metrics(address, publish):
        pass


async def _ended(address: Address, request: bytes) -> bool:
    """Return whether the port closes the connection without an answer."""
    try:
        return await _ask(address, request) == b""
    except ConnectionError:
        return True
