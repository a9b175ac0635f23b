"""Runs the product on one machine: N workers and Envoy, one data folder.

Theory of operation:

1. `Supervisor.run` first refuses a data folder that another supervisor holds and ports in use.
2. Workers and Envoy start together, each in its own session, so that Ctrl-C reaches only the
   supervisor. The kernel kills them when the supervisor ends (tether.py). Their log lines pass
   through the supervisor (child.py, logs.py).
3. The service is announced when every worker listens and `/healthz` through Envoy is 200. A process
   that ends earlier fails the start; one that ends later is restarted, at first immediately, then
   with growing pauses.
4. The first SIGTERM or SIGINT drains: both ports close, recordings are made durable and sent away,
   other requests continue for at most `drain_s`, then workers and Envoy stop. The second signal
   stops at once.
"""

from __future__ import annotations

import asyncio
import http.client
import signal
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import structlog

from kazoo_media.config import Config, user_runtime_folder
from kazoo_media.service import gateway_worker
from kazoo_media.service.addresses import check_port
from kazoo_media.service.bootstrap import Bootstrap
from kazoo_media.service.child import END_RECORDINGS, Child
from kazoo_media.service.envoy import (
    Admin,
    envoy_command,
    envoy_refusal,
    envoy_variables,
    find_envoy,
    write_configuration,
)
from kazoo_media.service.runtime import metrics_folder, runtime_folder
from kazoo_media.service.start import locked, permit_many_files
from kazoo_media.start_error import StartError

_START_TIMEOUT_S = 90.0
"""Longer than a worker waits for its database."""
_HEALTH_TIMEOUT_S = 5.0
_POLL_S = 0.05

_log = structlog.get_logger()


class Supervisor:
    """One running service."""

    def __init__(
        self, config: Config, announce: Callable[[Bootstrap], None], *, debug: bool = False
    ) -> None:
        """Keep the configuration.

        Args:
            announce: Called when the service is live.
            debug: Whether to show the log lines of a start that fails.
        """
        self._config = config
        self._announce = announce
        self._debug = debug
        self._stop = asyncio.Event()
        self._sockets: list[Path] = []
        self._children: list[Child] = []

    def run(self) -> None:
        """Start the service and keep it running; return after a signal has stopped it.

        Raises:
            StartError: it cannot be started; nothing is left running.
            OSError: a file of the start cannot be read or written.
        """
        config = self._config
        program = find_envoy(config.envoy)
        _check_tls(config)
        with (
            locked(config.data_dir),
            runtime_folder(config.data_dir, user_runtime_folder()) as runtime,
        ):
            _check_ports(config)
            permit_many_files()
            indices = range(config.workers)
            self._sockets = [runtime / f"worker-{index}.sock" for index in indices]
            metrics = metrics_folder(runtime)
            metrics.mkdir()
            workers = [
                _worker(index, path, partial(_forget_metrics, config, metrics, index))
                for index, path in enumerate(self._sockets)
            ]
            configuration = write_configuration(config, runtime, self._sockets)
            envoy = Child(
                "envoy",
                envoy_command(program, configuration, config.workers),
                envoy_variables(config),
                lambda log: envoy_refusal(program, log),
            )
            self._children = [*workers, envoy]
            if self._debug:
                self._show_lines()
            asyncio.run(self._run(workers, envoy, Admin(runtime), metrics))

    async def _run(
        self, workers: Sequence[Child], envoy: Child, admin: Admin, metrics: Path
    ) -> None:
        async with AsyncExitStack() as stack:
            if self._config.metrics_port:
                # Without a port nothing needs these imports, a tenth of a start.
                from kazoo_media.service.gateway_metrics import GatewayCollector  # noqa: PLC0415
                from kazoo_media.service.metrics import published, shared_registry  # noqa: PLC0415
                from kazoo_media.service.metrics_port import serving_metrics  # noqa: PLC0415
                from kazoo_media.service.process_metrics import (  # noqa: PLC0415
                    ProcessCollector,
                    supervised,
                )

                watched = ProcessCollector(
                    self._config.data_dir, partial(supervised, self._children)
                )
                registry = shared_registry(metrics, GatewayCollector(admin), watched)
                publish = partial(published, registry)
                await stack.enter_async_context(serving_metrics(self._config.metrics_port, publish))
            await self._supervise(workers, envoy, admin)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._kill()
        self._stop.set()

    def _show_lines(self) -> None:
        for child in self._children:
            child.show_lines()

    def _kill(self) -> None:
        for child in self._children:
            child.kill()

    async def _supervise(self, workers: Sequence[Child], envoy: Child, admin: Admin) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        try:
            async with asyncio.TaskGroup() as tasks:
                keepers = [tasks.create_task(child.keep()) for child in self._children]
                await self._serve()
                await self._drain(workers, admin)
                await _end_all(workers)
                await envoy.end()  # last: workers finish running requests
                for keeper in keepers:
                    keeper.cancel()
        except* StartError as group:
            raise group.exceptions[0] from None
        finally:
            self._kill()
            for child in self._children:
                await child.wait()

    async def _serve(self) -> None:
        """Announce the service when it is live; return when it is to stop."""
        if not await self._is_live():
            return
        for child in self._children:
            child.restart_from_now_on()
        bootstrap = await asyncio.to_thread(Bootstrap.read, self._config.data_dir)
        self._announce(bootstrap or Bootstrap.new(self._config, "", ""))
        await self._stop.wait()

    async def _is_live(self) -> bool:
        """Wait until the service answers; return False if it is stopped first."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._stop.is_set():
            if await asyncio.to_thread(_all_serve, self._config, self._sockets):
                return True
            if time.monotonic() > deadline:
                self._show_lines()
                problem = f"not live after {_START_TIMEOUT_S:.0f} s"
                raise StartError.about("service", problem, "see the log lines above")
            await asyncio.sleep(_POLL_S)
        return False

    async def _drain(self, workers: Sequence[Child], admin: Admin) -> None:
        _log.info("draining", at_most_s=self._config.drain_s)
        with suppress(OSError, TimeoutError):  # without Envoy there is nothing to wait for
            await asyncio.to_thread(admin.begin_drain)
            for worker in workers:  # recordings would run until the end of the time
                worker.tell(END_RECORDINGS)
            async with asyncio.timeout(self._config.drain_s):
                # ASYNC110 suggests an Event, but another process has the state.
                while await asyncio.to_thread(admin.running_requests):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_S)


async def _end_all(children: Sequence[Child]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for child in children:
            tasks.create_task(child.end())


def _worker(index: int, path: Path, forget: Callable[[], None]) -> Child:
    command = [sys.executable, "-m", gateway_worker.__name__, str(index), str(path)]
    return Child(f"worker-{index}", command, {}, _worker_refusal, forget)


def _worker_refusal(log: str) -> StartError | None:
    last = log.strip().rpartition("\n")[2]
    _, found, text = last.partition(gateway_worker.REFUSED)
    return StartError(text) if found else None


def _forget_metrics(config: Config, folder: Path, index: int) -> None:
    if config.metrics_port:
        from kazoo_media.service.metrics import forget_worker  # noqa: PLC0415

        forget_worker(folder, index)


def _check_ports(config: Config) -> None:
    ports = {"KAZOO_MEDIA_HTTP_PORT": config.http_port, "KAZOO_MEDIA_GRPC_PORT": config.grpc_port}
    for variable, port in ports.items():
        subject = f"{variable}={port} on KAZOO_MEDIA_HOST={config.host}"
        check_port(subject, config.host, port)


def _check_tls(config: Config) -> None:
    if config.tls_cert:  # the import takes memory for as long as the service runs
        from kazoo_media.service.tls_files import check_tls  # noqa: PLC0415

        check_tls(config)


def _all_serve(config: Config, sockets: Sequence[Path]) -> bool:
    # One worker is enough for /healthz, but the first one makes the announced account: each worker
    # binds its socket after such work.
    return all(path.exists() for path in sockets) and _is_healthy(config)


def _is_healthy(config: Config) -> bool:
    netloc = Bootstrap.new(config, "", "").rest_url.partition("//")[2]
    connection = http.client.HTTPConnection(netloc, timeout=_HEALTH_TIMEOUT_S)
    if config.tls_cert:
        # The service's own port on this machine: the names in the certificate do not matter.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection = http.client.HTTPSConnection(netloc, timeout=_HEALTH_TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
