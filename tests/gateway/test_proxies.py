"""The gateway behind another proxy: whose address counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.running import Gateway

pytestmark = pytest.mark.gateway


@pytest.mark.parametrize(
    ("forwarded_for", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("198.51.100.9, 192.0.2.7", "192.0.2.7"),  # what a client itself says is not believed
        ("", "127.0.0.1"),
    ],
)
def test_the_client_of_a_trusted_proxy_is_the_peer(
    behind_a_proxy: Gateway, forwarded_for: str, peer: str
) -> None:
    headers = {"x-forwarded-for": forwarded_for} if forwarded_for else {}
    seen = httpx.get(f"{behind_a_proxy.rest_url}/v2/media", headers=headers, timeout=20).json()
    assert seen["metadata"]["x-rest-peer"] == [peer]


def test_without_a_trusted_proxy_the_header_is_not_believed(gateway: Gateway) -> None:
    headers = {"x-forwarded-for": "192.0.2.7"}
    seen = httpx.get(f"{gateway.rest_url}/v2/media", headers=headers, timeout=20).json()
    assert seen["metadata"]["x-rest-peer"] == ["127.0.0.1"]


@pytest.fixture
def behind_a_proxy(runtime: Path) -> Iterator[Gateway]:
    with Gateway(runtime, variables={"trusted_hops": "1"}) as running:
        yield running
