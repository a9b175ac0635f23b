"""pytest-grpc's fixtures over both engines: `grpc_stub` is a blocking stub, the server runs in a
thread. The engine http1 is reached through the product's Envoy, as it always is.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.v1.media_pb2 import Media
from kazoo_media.v1.media_service_pb2 import CreateMediaRequest
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from tests.rpc.media_client import Client
from tests.rpc.service import Live, Place, Service, Tenant, ThreadedService
from tests.support.front import Front


@pytest.fixture(scope="session", params=["aio", "http1"])
def engine(request: pytest.FixtureRequest) -> str:
    """Return what serves: both engines pass every test of this folder."""
    return str(request.param)


@pytest.fixture(scope="session")
def fronts(engine: str) -> Iterator[list[Front]]:
    """Give the gateways of the engine that needs one: for a module's service and for `live`."""
    if engine == "aio":
        yield []
        return
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        running = [Front(Path(first)), Front(Path(second))]
        yield running
        for each in running:
            each.stop()


@contextmanager
def _place(engine: str, fronts: list[Front], index: int) -> Iterator[Place]:
    if engine == "aio":
        with tempfile.TemporaryDirectory() as folder:  # a short path: sockets allow 107 characters
            yield Place(engine, f"unix:{folder}/s", f"unix:{folder}/s")
    else:
        yield Place(engine, str(fronts[index].socket), fronts[index].grpc_target)


@pytest.fixture(scope="module")
def place(engine: str, fronts: list[Front]) -> Iterator[Place]:
    with _place(engine, fronts, 0) as found:
        yield found


@pytest.fixture(scope="module")
def grpc_addr(place: Place) -> str:
    return place.target


@pytest.fixture(scope="module")
def grpc_server(place: Place) -> Iterator[ThreadedService]:
    server = ThreadedService(place)
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


@pytest.fixture(scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConverterPool]:
    """Give a pool for all services of a module: starting one takes half a second."""
    pool = ConverterPool(tmp_path_factory.mktemp("pool"))
    yield pool
    await pool.aclose()


@pytest.fixture
async def live(engine: str, fronts: list[Front], pool: ConverterPool) -> AsyncIterator[Live]:
    """Give a service and a channel to it in the test's own loop, for what a blocking stub can not
    do.
    """
    with _place(engine, fronts, 1) as place:
        service = await Service.start(place, pool)
        async with grpc.aio.insecure_channel(place.target) as channel:
            yield Live(service, channel, await service.tenant(), place.target)
        await service.stop()


@pytest.fixture
async def client(live: Live) -> Client:
    client = Client(live)
    await client.create()
    return client
