"""Calls that the service ends while the client still sends: the client learns why, every time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from kazoo_media.client import Client, Media, MediaServiceError
from tests.contract.upload_promises import PNG
from tests.support.product import Product

pytestmark = pytest.mark.e2e

_ROUNDS, _AT_ONCE = 10, 10


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("refusals")) as product:
        yield product


async def test_a_client_that_still_sends_learns_why_its_upload_is_refused(
    product: Product,
) -> None:
    target, key = await asyncio.to_thread(lambda: (product.grpc_target, product.api_key))
    async with Client(target, api_key=key) as client:
        account_id = await client.account_id()
        media = await client.create_media(account_id, Media(name="refused"))
        for _ in range(_ROUNDS):
            uploads = (
                client.upload(account_id, media.id, _endless_image()) for _ in range(_AT_ONCE)
            )
            for refusal in await asyncio.gather(*uploads, return_exceptions=True):
                assert isinstance(refusal, MediaServiceError)
                assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
                assert refusal.reason == "NOT_AUDIO"
                assert refusal.request_id


async def _endless_image() -> AsyncIterator[bytes]:
    yield PNG
    while True:
        yield bytes(100)
