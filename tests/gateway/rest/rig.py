"""The REST surface behind the real Envoy, over memory stores whose faults a test can ask for."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from kazoo_media.access.accounts import AdminScope, Caller
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.config import Config
from kazoo_media.core import Core
from kazoo_media.crossbar.registration import add_crossbar
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import Account, BlobState
from kazoo_media.rpc.callers import Callers
from kazoo_media.service.envoy import (
    envoy_command,
    envoy_variables,
    find_envoy,
    write_configuration,
)
from kazoo_media.transport.aio.server import StandardServer
from kazoo_media.transport.http1.server import WorkerServer
from tests.rpc.service import FaultyBlobStore
from tests.support.core_fixtures import CoreUnderTest, make_core
from tests.support.engines import ample_budget
from tests.support.loop_watch import LoopWatch, watched
from tests.support.names import unique_name
from tests.support.product import free_port

_Result = TypeVar("_Result")
NODE = "node1.example"
VERSION = "9.8.7"


@dataclass(frozen=True)
class Tenant:
    """An account, its key and a token of it."""

    id: str
    api_key: str
    token: str
    account: Account

    @property
    def media(self) -> str:
        """Return the path of its media."""
        return f"/v2/accounts/{self.id}/media"


@dataclass(frozen=True)
class Reply:
    """An answer as it came over the wire; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Return the envelope."""
        envelope: dict[str, Any] = json.loads(self.body)
        return envelope

    @property
    def data(self) -> Any:
        """Return the envelope's data."""
        return self.json["data"]


class Rest:
    """A running gateway with one worker in this process.

    Attributes:
        admin: The superduper admin's account.
        tenant: An account below it; `child` is below that, `stranger` beside it.
        socket: Where grpc.aio serves the same, past the gateway.
    """

    def __init__(self, folder: Path) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.socket = folder / "reference.sock"
        self.blobs = FaultyBlobStore()
        self._pool = ConverterPool(folder)
        making = make_core(blobs=self.blobs, pool=self._pool)
        self._under_test: CoreUnderTest = self.run(making)
        self._stopping = asyncio.Event()
        self._recording = asyncio.run_coroutine_threadsafe(self._record(), self._loop)
        self._server, self._reference = self.run(self._serve(folder))
        self.port = free_port()
        variables = {
            "KAZOO_MEDIA_DATA_DIR": str(folder),
            "KAZOO_MEDIA_HTTP_PORT": str(self.port),
            "KAZOO_MEDIA_GRPC_PORT": str(free_port()),
            "KAZOO_MEDIA_NODE_NAME": NODE,
        }
        config = Config.from_environ(variables)
        path = write_configuration(config, folder, [folder / "w.sock"])
        self.log = folder / "envoy.log"
        with self.log.open("wb") as log:
            self._envoy = subprocess.Popen(
                envoy_command(find_envoy(None), path, 1),
                env={**os.environ, **envoy_variables(config)},
                stdout=log,
                stderr=log,
            )
        self._wait_until_live()
        self.admin = self._known(self._under_test.admin.account, self._under_test.api_key)
        self.tenant = self.new_tenant()
        self.child = self.new_tenant(self.tenant.id)
        self.stranger = self.new_tenant()

    @property
    def core(self) -> Core:
        """Return the core that the worker serves."""
        return self._under_test.core

    @property
    def metadata(self) -> MetadataStore:
        """Return the store, for what no client can put there."""
        return self._under_test.metadata

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        *,
        peer: str = "127.0.0.1",
    ) -> Reply:
        """Send exactly this request and return the answer; an iterable body is sent chunked.

        Args:
            peer: The address to send from.
        """
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=20, source_address=(peer, 0)
        )
        with closing(connection):
            connection.putrequest(method, path, skip_accept_encoding=True)
            chunked = body is not None and not isinstance(body, bytes)
            if isinstance(body, bytes):
                connection.putheader("content-length", str(len(body)))
            elif chunked:
                connection.putheader("transfer-encoding", "chunked")
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body, encode_chunked=chunked)
            answer = connection.getresponse()
            return Reply(
                answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            )

    @property
    def admin_caller(self) -> Caller:
        """Return the admin, for the core."""
        return self._under_test.admin

    def run(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine in the worker's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def watched(self) -> AbstractContextManager[LoopWatch]:
        """Watch the worker's loop."""
        return watched(self._loop)

    def new_tenant(self, parent_id: str = "", name: str = "", realm: str = "") -> Tenant:
        """Return a new account, empty."""
        accounts, name = self.core.accounts, name or unique_name("Tenant")
        account, api_key = self.run(
            accounts.create(self._under_test.admin, parent_id=parent_id, name=name, realm=realm)
        )
        return self._known(account, api_key)

    def put_setting(self, category: str, key: str, value: object) -> None:
        """Change a setting; None: back to what it was."""
        self.run(self.core.settings.put(AdminScope(), category, key, value, node=None))

    def pending_uploads(self) -> int:
        """Return how many uploads have begun and neither been committed nor discarded."""
        rows = self.run(self._under_test.metadata.list_blobs("", 10_000))
        return sum(row.state is BlobState.PENDING for row in rows)

    def running_calls(self) -> int:
        """Return how many calls the worker has begun and not ended."""
        return len(self._server._calls)

    async def remove_blobs_of(self, account_id: str, media_id: str) -> None:
        """Lose the audio of a media, as a broken disk does."""
        media = await self._under_test.metadata.get_media(account_id, media_id)
        assert media is not None
        assert media.content is not None
        await self.blobs.delete(media.content.original.blob_key)

    def stop(self) -> None:
        """End Envoy and the worker."""
        self._envoy.send_signal(signal.SIGTERM)
        self._envoy.wait(10)
        self.run(self._server.stop(0))
        self.run(self._reference.stop(0))
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._recording.result(20)
        self.run(self._pool.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _record(self) -> None:
        async with self.core.recordings.running():
            await self._stopping.wait()

    async def _serve(self, folder: Path) -> tuple[WorkerServer, StandardServer]:
        budget = ample_budget()
        server = WorkerServer(budget, Callers(self.core).recognize)
        # In a thread: the description reads a file, at the start of a process.
        add = partial(add_crossbar, core=self.core, budget=budget, node_name=NODE, version=VERSION)
        await asyncio.to_thread(add, server)
        await server.start(folder / "w.sock")
        reference = StandardServer(behind_transcoder=True)
        await asyncio.to_thread(add, reference)
        await reference.start(f"unix:{self.socket}")
        return server, reference

    def _known(self, account: Account, api_key: str) -> Tenant:
        login = self.run(self.core.accounts.log_in(api_key))
        return Tenant(account.id, api_key, login.token, account)

    def _wait_until_live(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                if self.send("GET", "/healthz").status == 200:
                    return
            except OSError:
                pass
            if self._envoy.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.05)
