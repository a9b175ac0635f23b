"""The composition root of a worker: picks stores, wires the surfaces, serves, drains."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

import structlog
from grpc_health.v1 import health

from kazoo_media.access.accounts import Accounts
from kazoo_media.access.login_limit import Attempts
from kazoo_media.access.tokens import load_private_key, load_trusted_keys
from kazoo_media.audio.convert.converters import Backends
from kazoo_media.audio.pool.pool import ConverterPool, can_convert
from kazoo_media.audio.programs.ffmpeg import find_ffmpeg
from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.store import BlobStore
from kazoo_media.config import Config
from kazoo_media.core import Core, Node, build_core
from kazoo_media.crossbar.registration import add_crossbar
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.rpc.registration import SERVICE_NAMES, add_services
from kazoo_media.service.bootstrap import Bootstrap
from kazoo_media.transport.http1.server import WorkerServer
from kazoo_media.transport.standard_services import add_standard_services
from kazoo_media.upkeep.sweeper import Sweeper

_SWEEP_S = 300.0

_log = structlog.get_logger()
_GRACE_S = 3.0
"""How long running calls may go on after SIGTERM; the supervisor has drained before."""


async def run_worker(config: Config, index: int, socket_path: Path) -> None:
    """Serve on a unix socket until SIGTERM; then let running calls end, for a few seconds."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        metadata = await SqliteMetadataStore.open(
            config.data_dir / "metadata.sqlite", shared=config.workers > 1
        )
        stack.push_async_callback(metadata.aclose)
        blobs = LocalBlobStore(config.data_dir / "blobs")
        stack.push_async_callback(blobs.aclose)
        descriptor = await asyncio.to_thread(_shared_file, socket_path.with_name("attempts"))
        stack.callback(os.close, descriptor)
        attempts = Attempts(descriptor)
        core = await _core(config, metadata, blobs, await _backends(config, stack), attempts)
        if index == 0:
            await _bootstrap(config, metadata, core.accounts)
        server, status = await _server(config, core)
        async with asyncio.TaskGroup() as tasks:
            # One worker sweeps: more would only find the same rows.
            sweeping = index == 0 and tasks.create_task(Sweeper(metadata, blobs).run(_SWEEP_S))
            await server.start(socket_path)
            _log.info("serving", worker=index)
            await stop.wait()
            await status.enter_graceful_shutdown()
            await server.stop(_GRACE_S)
            if sweeping:
                sweeping.cancel()


async def _backends(config: Config, stack: AsyncExitStack) -> Backends:
    folder = config.data_dir / "tmp"
    await asyncio.to_thread(folder.mkdir, mode=0o700, exist_ok=True)
    pool = None
    if await asyncio.to_thread(can_convert):
        pool = ConverterPool(folder)
        stack.push_async_callback(pool.aclose)
    return Backends(folder, pool, await asyncio.to_thread(find_ffmpeg))


async def _core(
    config: Config,
    metadata: MetadataStore,
    blobs: BlobStore,
    backends: Backends,
    attempts: Attempts,
) -> Core:
    node = Node(
        config.node_name,
        await asyncio.to_thread(load_private_key, config.data_dir / "signing-key.pem"),
        await asyncio.to_thread(load_trusted_keys, config.data_dir / "trusted_keys"),
        config.converters,
    )
    return await build_core(node, metadata, blobs, backends, attempts)


def _shared_file(path: Path) -> int:
    """Open a file that is made by whichever worker comes first."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


async def _server(config: Config, core: Core) -> tuple[WorkerServer, health.aio.HealthServicer]:
    server = WorkerServer()
    add_services(server, core)
    add_crossbar(server, core, node_name=config.node_name, version=version("kazoo-media"))
    return server, await add_standard_services(server, SERVICE_NAMES)


async def _bootstrap(config: Config, metadata: MetadataStore, accounts: Accounts) -> None:
    """Make the master account on the first start; keep the addresses in bootstrap.json true."""
    known = await asyncio.to_thread(Bootstrap.read, config.data_dir)
    # A crash between account and file would leave an account whose key nobody has.
    begun = config.data_dir / "bootstrap.begun"
    if known:
        wanted = Bootstrap.new(config, known.account_id, known.api_key)
    elif await metadata.list_accounts(None, "", 1) and not await asyncio.to_thread(begun.exists):
        _log.warning("bootstrap.json is missing: commands need KAZOO_MEDIA_API_KEY")
        return
    else:
        await asyncio.to_thread(begun.touch)
        account, api_key = await accounts.create_master("master")
        wanted = Bootstrap.new(config, account.id, api_key)
    if wanted != known:
        await asyncio.to_thread(wanted.write, config.data_dir)
    await asyncio.to_thread(begun.unlink, missing_ok=True)
