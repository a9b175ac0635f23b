"""pytest-grpc's fixtures over a grpc.aio server: `grpc_stub` is a blocking stub, the server runs in
a thread.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc.aio
import pytest

from kazoo_media.v1.media_pb2 import Media
from kazoo_media.v1.media_service_pb2 import CreateMediaRequest
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from tests.rpc.media_client import Client
from tests.rpc.service import Live, Service, Tenant, ThreadedService


@pytest.fixture(scope="module")
def grpc_addr() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:  # a short path: sockets allow 107 characters
        yield f"unix:{folder}/s"


@pytest.fixture(scope="module")
def grpc_server(grpc_addr: str) -> Iterator[ThreadedService]:
    server = ThreadedService(grpc_addr)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def service(grpc_server: ThreadedService) -> Service:
    return grpc_server.service


@pytest.fixture
def tenant(grpc_server: ThreadedService) -> Tenant:
    return grpc_server.run(grpc_server.service.tenant())


@pytest.fixture(scope="module")
def admin(grpc_server: ThreadedService) -> Tenant:
    return grpc_server.run(grpc_server.service.admin())


class TenantStub:
    """A stub whose calls are a tenant's."""

    def __init__(self, stub: Any, tenant: Tenant) -> None:
        self._stub = stub
        self._tenant = tenant

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._stub, method)
        return lambda request: call(request, metadata=self._tenant.metadata)


@pytest.fixture
def stub(grpc_stub: Any, tenant: Tenant) -> TenantStub:
    """Return the module's stub, calling as the tenant."""
    return TenantStub(grpc_stub, tenant)


@pytest.fixture
def admin_stub(grpc_stub: Any, admin: Tenant) -> TenantStub:
    """Return the module's stub, calling as a superduper admin."""
    return TenantStub(grpc_stub, admin)


@pytest.fixture
def create(grpc_channel: Any, tenant: Tenant) -> Callable[..., Media]:
    """Return a function that creates a media of the tenant, with a name unless one is given."""
    stub: Any = MediaServiceStub(grpc_channel)

    def create(**fields: Any) -> Media:
        media = Media(**{"name": "File"} | fields)
        request = CreateMediaRequest(account_id=tenant.account_id, media=media)
        made: Media = stub.CreateMedia(request, metadata=tenant.metadata).media
        return made

    return create


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    """Give a service and a channel to it in the test's own loop, for what a blocking stub can not
    do.
    """
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix:{folder}/s"
        service = await Service.start(address)
        async with grpc.aio.insecure_channel(address) as channel:
            yield Live(service, channel, await service.tenant(), address)
        await service.stop()


@pytest.fixture
async def client(live: Live) -> Client:
    client = Client(live)
    await client.create()
    return client
