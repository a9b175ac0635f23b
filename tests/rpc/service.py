"""The typed services on both engines, over memory stores whose faults a test can ask for."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from typing_extensions import override

from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.blobs.store import BlobReader, BlobWriter
from kazoo_media.core import Core
from kazoo_media.errors import StoreUnavailableError
from kazoo_media.model import BlobState
from kazoo_media.rpc.callers import Callers
from kazoo_media.rpc.registration import add_services
from kazoo_media.transport.aio.server import StandardServer
from kazoo_media.transport.http1.server import WorkerServer
from kazoo_media.v1.media_service_pb2 import UploadContentRequest
from tests.support.core_fixtures import CoreUnderTest, make_core
from tests.support.engines import ample_budget
from tests.support.loop_watch import LoopWatch, watched
from tests.support.memory_blobs import MemoryBlobStore
from tests.support.names import unique_name

_Result = TypeVar("_Result")
Metadata = tuple[tuple[str, str], ...]


class FaultyBlobStore(MemoryBlobStore):
    """A blob store that fails on demand.

    Attributes:
        write_error: Raised by every write.
        refused: Set when a write has failed.
        readable_bytes: After so many bytes every read fails.
        open_readers: How many there are now.
    """

    def __init__(self) -> None:
        super().__init__()
        self.write_error: Exception | None = None
        self.refused = asyncio.Event()
        self.readable_bytes: int | None = None
        self.open_readers = 0

    @override
    async def create(self, key: str, *, head_changes: bool = False) -> BlobWriter:
        if self.write_error is not None:
            self.refused.set()
            raise self.write_error
        return await super().create(key, head_changes=head_changes)

    @override
    async def open(self, key: str, *, in_background: bool = False) -> BlobReader | None:
        reader = await super().open(key, in_background=in_background)
        return None if reader is None else _FaultyReader(self, reader)


class _FaultyReader(BlobReader):
    def __init__(self, store: FaultyBlobStore, whole: BlobReader) -> None:
        self._store = store
        self._whole = whole
        self.size_bytes = whole.size_bytes
        store.open_readers += 1

    @override
    async def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        readable = self._store.readable_bytes
        async for chunk in self._whole.read(offset, min(length, readable or length)):
            yield chunk
        if readable is not None:
            raise StoreUnavailableError

    @override
    async def aclose(self) -> None:
        self._store.open_readers -= 1
        await self._whole.aclose()


@dataclass(frozen=True)
class Tenant:
    """An account and the metadata that speak for it."""

    account_id: str
    api_key: str
    metadata: Metadata


@dataclass(frozen=True)
class Place:
    """Where a service is served, and by which engine.

    Attributes:
        engine: "aio" or "http1".
        listen: For aio an address, for http1 the path of a socket that a gateway knows.
        target: Where its clients reach it.
    """

    engine: str
    listen: str
    target: str


class Service:
    """A server of one engine, in the loop it was started in."""

    def __init__(
        self,
        under_test: CoreUnderTest,
        blobs: FaultyBlobStore,
        server: StandardServer | WorkerServer,
        running: AsyncExitStack,
    ) -> None:
        self.core = under_test.core
        self.metadata_store = under_test.metadata
        self.blobs = blobs
        self.admin_key = under_test.api_key
        self._admin = under_test.admin
        self._server = server
        self._running = running

    @classmethod
    async def start(cls, place: Place, pool: ConverterPool | None = None) -> Service:
        """Return a running service. `pool` None: with a pool of its own, which ends with it."""
        blobs = FaultyBlobStore()
        running = AsyncExitStack()
        if pool is None:
            pool = ConverterPool(Path(tempfile.gettempdir()))
            running.push_async_callback(pool.aclose)
        under_test = await make_core(blobs=blobs, pool=pool)
        await running.enter_async_context(under_test.core.recordings.running())
        server = await _served(under_test.core, place)
        return cls(under_test, blobs, server, running)

    async def stop(self) -> None:
        await self._server.stop(0)
        await self._running.aclose()

    async def pending_uploads(self) -> int:
        """Return how many uploads have begun and neither been committed nor discarded."""
        rows = await self.metadata_store.list_blobs("", 1000)
        return sum(row.state is BlobState.PENDING for row in rows)

    async def tenant(self, **fields: Any) -> Tenant:
        """Return a new account below the master account."""
        accounts = self.core.accounts
        fields = {"parent_id": "", "name": unique_name("tenant")} | fields
        _, api_key = await accounts.create(self._admin, **fields)
        return await self._logged_in(api_key)

    async def admin(self) -> Tenant:
        return await self._logged_in(self.admin_key)

    async def set_default(self, category: str, key: str, value: object) -> None:
        scope = self.core.accounts.admin_scope(self._admin)
        await self.core.settings.put(scope, category, key, value, node=None)

    async def _logged_in(self, api_key: str) -> Tenant:
        login = await self.core.accounts.log_in(api_key)
        return Tenant(login.account.id, api_key, (("x-auth-token", login.token),))


async def _served(core: Core, place: Place) -> StandardServer | WorkerServer:
    if place.engine == "aio":
        standard = StandardServer()
        add_services(standard, core)
        await standard.start(place.listen)
        return standard
    worker = WorkerServer(ample_budget(), Callers(core).recognize)
    add_services(worker, core)
    path = Path(place.listen)
    await asyncio.to_thread(path.unlink, missing_ok=True)
    await worker.start(path)
    return worker


class ThreadedService:
    """A service in a thread of its own, for blocking stubs."""

    def __init__(self, place: Place) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.service = self.run(Service.start(place))

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Return what a coroutine returns that runs beside the server."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def watched(self) -> AbstractContextManager[LoopWatch]:
        """Watch the server's loop."""
        return watched(self._loop)

    def stop(self) -> None:
        self.run(self.service.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass(frozen=True)
class Live:
    """A service in the test's own loop, a channel to it and an account."""

    service: Service
    channel: grpc.aio.Channel
    tenant: Tenant
    address: str


@dataclass
class Refusal:
    """An error as a client sees it."""

    info: ErrorInfo = field(default_factory=ErrorInfo)
    fields: list[str] = field(default_factory=list)
    text: str = ""


@contextmanager
def refused(code: str, reason: str) -> Iterator[Refusal]:
    """Check that a call ends with a status whose details give this reason; tell the rest
    afterwards.
    """
    refusal = Refusal()
    with pytest.raises(grpc.RpcError) as caught:
        yield refusal
    found = refusal_of(caught.value)
    assert (caught.value.code().name, found.info.reason) == (code, reason)
    assert found.info.domain == "kazoo_media"
    refusal.info, refusal.fields, refusal.text = found.info, found.fields, found.text


def refusal_of(error: Any) -> Refusal:
    """Return what the details of a failed call say."""
    trailing = dict(error.trailing_metadata() or ())
    status = Status.FromString(trailing.get("grpc-status-details-bin", b""))
    refusal = Refusal(text=error.details())
    for detail in status.details:
        bad_request = BadRequest()
        if detail.Unpack(bad_request):
            refusal.fields = [each.field for each in bad_request.field_violations]
        detail.Unpack(refusal.info)
    return refusal


def upload_messages(
    tenant: Tenant,
    media_id: str,
    chunks: Sequence[bytes],
    *,
    content_type: str = "audio/wav",
    expected_bytes: int = 0,
    preset: str = "",
    size_bytes: int | None = None,
    sha256: str | None = None,
) -> list[UploadContentRequest]:
    """Return the messages of a complete upload."""
    audio = b"".join(chunks)
    header = UploadContentRequest.Header(
        account_id=tenant.account_id,
        media_id=media_id,
        content_type=content_type,
        expected_bytes=expected_bytes,
        preset=preset,
    )
    finish = UploadContentRequest.Finish(
        size_bytes=len(audio) if size_bytes is None else size_bytes,
        sha256=hashlib.sha256(audio).hexdigest() if sha256 is None else sha256,
    )
    return [
        UploadContentRequest(header=header),
        *(UploadContentRequest(data=chunk) for chunk in chunks),
        UploadContentRequest(finish=finish),
    ]
