"""A client of a real service, both in the test's own loop."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator

import pytest

from kazoo_media.client import Client, Media
from tests.rpc.service import Place, Service
from tests.unit.client.unsteady import UnsteadyServer


@pytest.fixture
async def address() -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory() as folder:  # a short path: sockets allow 107 characters
        yield f"unix:{folder}/s"


@pytest.fixture
async def service(address: str) -> AsyncIterator[Service]:
    service = await Service.start(Place("aio", address, address))
    yield service
    await service.stop()


@pytest.fixture
async def client(address: str, service: Service) -> AsyncIterator[Client]:
    async with Client(address, api_key=service.admin_key) as client:
        yield client


@pytest.fixture
async def media(client: Client) -> Media:
    """Return a document of the system scope, without audio."""
    return await client.create_media("system", Media(id="hold", name="Music on hold"))


@pytest.fixture
async def unsteady(address: str) -> AsyncIterator[UnsteadyServer]:
    """Start a service that misbehaves as told, instead of the real one."""
    server = UnsteadyServer(address)
    await server.start()
    yield server
    await server.stop()
