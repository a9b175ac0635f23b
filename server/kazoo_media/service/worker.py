"""The composition root of a worker: opens stores, wires the surfaces, serves, drains.

A worker runs either behind the bundled gateway, which the supervisor starts, or alone.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog
from grpc_health.v1 import health

from kazoo_media import durable
from kazoo_media.access.login_limit import LoginLimit
from kazoo_media.access.tokens import load_private_key, load_trusted_keys
from kazoo_media.audio.convert.converters import Converters
from kazoo_media.audio.pool.pool import ConverterPool, can_convert
from kazoo_media.audio.programs.ffmpeg import find_ffmpeg
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.config import Config
from kazoo_media.core import Core, Node, build_core
from kazoo_media.crossbar.registration import add_crossbar
from kazoo_media.errors import MediaError
from kazoo_media.metadata.engine import METADATA_URL
from kazoo_media.metadata.opening import open_metadata
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.recordings.census import Census
from kazoo_media.recordings.upkeep import RecordingUpkeep
from kazoo_media.rpc.callers import Callers
from kazoo_media.rpc.registration import SERVICE_NAMES, add_services
from kazoo_media.service.addresses import check_address
from kazoo_media.service.blob_stores import open_blobs
from kazoo_media.service.bootstrap import Bootstrap
from kazoo_media.service.child import END_RECORDINGS
from kazoo_media.service.memory import give_memory_back
from kazoo_media.service.runtime import metrics_folder
from kazoo_media.service.tls_files import check_tls
from kazoo_media.start_error import StartError
from kazoo_media.transport.aio.server import StandardServer, Tls
from kazoo_media.transport.budget import Budget
from kazoo_media.transport.http1.server import WorkerServer
from kazoo_media.transport.registry import Registry
from kazoo_media.transport.standard_services import add_standard_services
from kazoo_media.upkeep.claimed import Claimed
from kazoo_media.upkeep.scrub import Scrub
from kazoo_media.upkeep.sweeper import Sweeper
from kazoo_media.v1.services import FILES

_UPKEEP_S = 300.0
_RECORDINGS_S = 60.0
_GRACE_S = 3.0
"""How long running calls may continue after SIGTERM; the supervisor has drained already."""

_log = structlog.get_logger()


async def run_gateway_worker(config: Config, index: int, socket_path: Path) -> None:
    """Serve the gateway on a unix socket until SIGTERM; then wait a few seconds for calls."""
    stop, end_recordings = asyncio.Event(), asyncio.Event()
    _on_signal(stop.set)
    asyncio.get_running_loop().add_signal_handler(END_RECORDINGS, end_recordings.set)
    async with AsyncExitStack() as stack:
        descriptor = await asyncio.to_thread(_shared_file, socket_path.with_name("login_limit"))
        stack.callback(os.close, descriptor)
        metrics = NO_METRICS
        if config.metrics_port:
            from kazoo_media.service.metrics import PrometheusMetrics  # noqa: PLC0415 - slow

            folder = metrics_folder(socket_path.parent)
            metrics = await asyncio.to_thread(PrometheusMetrics.shared, folder, index)
        is_shared = config.workers > 1
        opened = await _open(config, stack, descriptor, metrics, index, shared=is_shared)
        if index == 0:
            await _bootstrap(config, opened, partial(Bootstrap.new, config))
        budget = Budget(config.worker_buffer_mib << 20)
        server = WorkerServer(budget, Callers(opened.core).recognize)
        _add_crossbar(server, config, opened, budget)
        status = await _add_services(server, opened)
        await stack.enter_async_context(opened.core.recordings.running())
        async with asyncio.TaskGroup() as tasks:
            # Only one worker keeps the stores in order: others would find the same rows.
            upkeep = _upkeep(tasks, config, opened) if index == 0 else []
            measuring = tasks.create_task(_measure(opened))
            trimming = tasks.create_task(give_memory_back())
            draining = tasks.create_task(_drain_after(end_recordings, opened))
            await server.start(socket_path)
            _log.info("serving", worker=index)
            await stop.wait()
            await status.enter_graceful_shutdown()
            end_recordings.set()
            await draining
            await server.stop(_GRACE_S)
            measuring.cancel()
            trimming.cancel()
            for each in upkeep:
                each.cancel()


async def run_standalone_worker(
    config: Config, address: str, announce: Callable[[str], None], *, crossbar: bool
) -> None:
    """Serve any client on an address until SIGTERM; then wait up to `drain_s` for calls.

    A second signal stops at once. The caller holds the lock of the data folder.

    Args:
        address: HOST:PORT or unix:PATH.
        announce: Called with the address once it is served.
        crossbar: Whether to serve the rpcs of the REST surface. Then all peers are transcoders.

    Raises:
        StartError: the address cannot be listened on, or the files for TLS cannot be used.
    """
    stop = asyncio.Event()
    await asyncio.to_thread(check_address, address)
    await asyncio.to_thread(check_tls, config)
    async with AsyncExitStack() as stack:
        descriptor = os.memfd_create("login_limit")
        stack.callback(os.close, descriptor)
        metrics = await _own_metrics(config, stack)
        opened = await _open(config, stack, descriptor, metrics, 0, shared=False)
        server = StandardServer(behind_transcoder=crossbar)
        if crossbar:
            budget = Budget(config.worker_buffer_mib << 20)
            _add_crossbar(server, config, opened, budget)
        status = await _add_services(server, opened)
        await stack.enter_async_context(opened.core.recordings.running())
        address = await _listen(server, config, address)
        try:
            await _bootstrap(config, opened, partial(Bootstrap.of_worker, address))
        except BaseException:
            await server.stop(0)  # otherwise its threads keep the process running
            raise
        async with asyncio.TaskGroup() as tasks:
            _on_signal(lambda: server.break_off() if stop.is_set() else stop.set())
            upkeep = _upkeep(tasks, config, opened)
            measuring = tasks.create_task(_measure(opened))
            trimming = tasks.create_task(give_memory_back())
            _log.info("serving", address=address)
            announce(address)
            await stop.wait()
            _log.info("draining", at_most_s=config.drain_s)
            await status.enter_graceful_shutdown()
            await opened.core.recordings.drain()
            await server.stop(config.drain_s)
            measuring.cancel()
            trimming.cancel()
            for each in upkeep:
                each.cancel()


async def _measure(opened: _Opened) -> None:
    await opened.core.measuring.run(opened.core.renormalization.use_one_channel)


async def _drain_after(event: asyncio.Event, opened: _Opened) -> None:
    await event.wait()
    await opened.core.recordings.drain()


def _upkeep(tasks: asyncio.TaskGroup, config: Config, opened: _Opened) -> list[asyncio.Task[None]]:
    works = [
        partial(opened.sweeper.run, _UPKEEP_S),
        partial(opened.scrub.run, _UPKEEP_S),
        partial(opened.recording_upkeep.run, _RECORDINGS_S),
    ]
    census = tasks.create_task(Census(opened.metadata, opened.metrics).run(_RECORDINGS_S))
    if config.metadata_url:  # of all nodes, one does it
        return [tasks.create_task(Claimed(opened.metadata, "upkeep").run(works)), census]
    return [*(tasks.create_task(each()) for each in works), census]


async def _listen(server: StandardServer, config: Config, address: str) -> str:
    tls = None
    if config.tls_cert and config.tls_key:
        tls = Tls(config.tls_cert, config.tls_key, config.tls_client_ca)
    try:
        return await server.start(address, tls)
    except (OSError, ValueError) as error:
        remedy = "use another address, and PEM files for TLS"
        raise StartError.about(f"--listen {address}", error, remedy) from error


def _on_signal(act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, act)


@dataclass(frozen=True)
class _Opened:
    core: Core
    metadata: MetadataStore
    sweeper: Sweeper
    scrub: Scrub
    recording_upkeep: RecordingUpkeep
    metrics: Metrics


async def _open(
    config: Config,
    stack: AsyncExitStack,
    login_limit: int,
    metrics: Metrics,
    index: int,
    *,
    shared: bool,
) -> _Opened:
    """Open the stores and wire the core.

    Args:
        config: Names their folder.
        stack: Closes them.
        login_limit: Descriptor of the file that counts failed logins.
        metrics: Counts what happens in all of it.
        index: Of the worker; the first one says what is missing on this system.
        shared: Whether other workers open the same stores.

    Raises:
        StartError: a file in the folder, or the bucket, cannot be used.
    """
    database = config.data_dir / "metadata.sqlite"
    metadata = await open_metadata(config.metadata_url, database, shared=shared, metrics=metrics)
    stack.push_async_callback(metadata.aclose)
    converters = await _converters(config, stack, index)
    node = await asyncio.to_thread(_node, config)
    try:
        blobs = await open_blobs(config, metadata, stack, metrics, first=index == 0)
        limit = LoginLimit(login_limit)
        core = await build_core(node, metadata, blobs, converters, limit, metrics)
    except MediaError as error:  # of the database: damage behind its first pages
        problem = error.__cause__ or error
        if config.metadata_url:
            raise StartError.about(METADATA_URL, problem, "check the server") from error
        raise StartError.about(database, problem, "restore it from a backup") from error
    sweeper = Sweeper(metadata, blobs, metrics=metrics)
    scrub = Scrub(metadata, blobs, core.settings, metrics)
    recording_upkeep = RecordingUpkeep(metadata, core.recordings, core.settings)
    return _Opened(core, metadata, sweeper, scrub, recording_upkeep, metrics)


async def _converters(config: Config, stack: AsyncExitStack, index: int) -> Converters:
    folder = config.data_dir / "tmp"
    await asyncio.to_thread(durable.make_folder, folder)
    try:
        sandboxed = partial(Confinement.by_sandbox, folder, config.data_dir)
        confinement = await asyncio.to_thread(sandboxed)
    except OSError as error:
        confinement = Confinement(folder)
        if index == 0:
            remedy = "see docs/operations.md, Confinement"
            _log.warning("programs run without a sandbox", reason=str(error), remedy=remedy)
    stack.push_async_callback(asyncio.to_thread, confinement.close)
    pool = None
    if await asyncio.to_thread(can_convert):
        pool = ConverterPool(folder)
        stack.push_async_callback(pool.aclose)
    return Converters(confinement, pool, await asyncio.to_thread(find_ffmpeg))


def _node(config: Config) -> Node:
    """Read what belongs to this node; blocks."""
    return Node(
        config.node_name,
        load_private_key(config.data_dir / "signing-key.pem"),
        load_trusted_keys(config.data_dir / "trusted_keys"),
        config.converters,
    )


async def _own_metrics(config: Config, stack: AsyncExitStack) -> Metrics:
    """Return the metrics of a worker that serves them itself, until the stack ends."""
    if config.metrics_port is None:
        return NO_METRICS
    from kazoo_media.service.metrics import (  # noqa: PLC0415 - slow
        PrometheusMetrics,
        own_registry,
        published,
    )
    from kazoo_media.service.metrics_port import serving_metrics  # noqa: PLC0415
    from kazoo_media.service.process_metrics import ProcessCollector, alone  # noqa: PLC0415

    registry = own_registry()
    registry.register(ProcessCollector(config.data_dir, alone))
    publish = partial(published, registry)
    await stack.enter_async_context(serving_metrics(config.metrics_port, publish))
    return PrometheusMetrics(registry)


def _shared_file(path: Path) -> int:
    """Open a file; the first worker creates it."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _add_crossbar(registry: Registry, config: Config, opened: _Opened, budget: Budget) -> None:
    release = version("kazoo-media")
    core, metrics = opened.core, opened.metrics
    add_crossbar(registry, core, budget, metrics, node_name=config.node_name, version=release)


async def _add_services(registry: Registry, opened: _Opened) -> health.aio.HealthServicer:
    add_services(registry, opened.core, opened.metrics)
    return await add_standard_services(registry, SERVICE_NAMES, FILES)


async def _bootstrap(
    config: Config, opened: _Opened, make: Callable[[str, str], Bootstrap]
) -> None:
    """Create the master account on the first start; update the addresses in bootstrap.json.

    Args:
        config: Names the folder of the file.
        opened: Has the accounts.
        make: Returns the file's content for an account id and an API key.
    """
    known = await asyncio.to_thread(Bootstrap.read, config.data_dir)
    # A crash between account and file would leave an account with an unknown key. The file names
    # the account, which another node may be making at the same time.
    begun = config.data_dir / "bootstrap.begun"
    if known:
        wanted = make(known.account_id, known.api_key)
    elif await opened.metadata.list_accounts(None, "", 1) and not await asyncio.to_thread(
        begun.exists
    ):
        _log.warning("bootstrap.json is missing: commands need KAZOO_MEDIA_API_KEY")
        return
    else:
        await asyncio.to_thread(durable.create_file, begun, secrets.token_hex(16).encode())
        account_id = await asyncio.to_thread(begun.read_text)
        made = await opened.core.accounts.create_master("master", account_id)
        if made is None:
            _log.warning("another node has made the master account, and its bootstrap.json")
            await asyncio.to_thread(begun.unlink)
            return
        account, api_key = made
        wanted = make(account.id, api_key)
    if wanted != known:
        await asyncio.to_thread(wanted.write, config.data_dir)
    await asyncio.to_thread(begun.unlink, missing_ok=True)
