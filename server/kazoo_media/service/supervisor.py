"""Runs the product on one machine: N workers and Envoy, one data folder.

Theory of operation:

1. `Supervisor.run` first refuses a data folder that another supervisor holds and ports in use.
2. Workers and Envoy start together, each in its own session, so that Ctrl-C reaches only the
   supervisor. The kernel kills them when the supervisor ends (tether.py). Their log lines pass
   through the supervisor (logs.py).
3. The service is announced when every worker listens and `/healthz` through Envoy is 200. A process
   that ends earlier fails the start; one that ends later is restarted, at first immediately, then
   with growing pauses.
4. The first SIGTERM or SIGINT drains: both ports close, running requests continue for at most
   `drain_s`, then workers and Envoy stop. The second signal stops at once.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from kazoo_media.config import Config, child_environment
from kazoo_media.service import tether
from kazoo_media.service.bootstrap import Bootstrap
from kazoo_media.service.envoy import (
    Admin,
    envoy_command,
    envoy_variables,
    find_envoy,
    write_configuration,
)
from kazoo_media.service.logs import forward_lines
from kazoo_media.service.start import ALLOCATOR, StartError, locked, permit_many_files

_TETHER = (sys.executable, "-S", tether.__file__)
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
_LAST_LINES_S = 1.0
_POLL_S = 0.05
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0

_log = structlog.get_logger()


class Supervisor:
    """One running service."""

    def __init__(self, config: Config, announce: Callable[[Bootstrap], None]) -> None:
        """Keep the configuration; `announce` is called when the service is live."""
        self._config = config
        self._announce = announce
        self._stop = asyncio.Event()
        self._sockets: list[Path] = []
        self._children: list[_Child] = []

    def run(self) -> None:
        """Start the service and keep it running; return after a signal has stopped it.

        Raises:
            StartError: it cannot be started; nothing is left running.
        """
        program = find_envoy(self._config.envoy)
        with locked(self._config.data_dir), _runtime_folder() as runtime:
            _check_ports_are_free(self._config)
            permit_many_files()
            indices = range(self._config.workers)
            self._sockets = [runtime / f"worker-{index}.sock" for index in indices]
            workers = [_worker(index, path) for index, path in enumerate(self._sockets)]
            configuration = write_configuration(self._config, runtime, self._sockets)
            envoy = _Child(
                "envoy",
                envoy_command(program, configuration, self._config.workers),
                envoy_variables(self._config),
            )
            self._children = [*workers, envoy]
            asyncio.run(self._supervise(workers, envoy, Admin(runtime)))

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._kill()
        self._stop.set()

    def _kill(self) -> None:
        for child in self._children:
            child.kill()

    async def _supervise(self, workers: Sequence[_Child], envoy: _Child, admin: Admin) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        try:
            async with asyncio.TaskGroup() as tasks:
                keepers = [tasks.create_task(child.keep()) for child in self._children]
                await self._serve()
                await self._drain(admin)
                await _end_all(workers)
                await envoy.end()  # last: workers finish running requests
                for keeper in keepers:
                    keeper.cancel()
        except* StartError as group:
            raise group.exceptions[0] from None
        finally:
            self._kill()

    async def _serve(self) -> None:
        """Announce the service when it is live; return when it is to stop."""
        if not await self._is_live():
            return
        for child in self._children:
            child.restarts = True
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
                raise StartError(f"not live after {_START_TIMEOUT_S:.0f} s: see the log lines")
            await asyncio.sleep(_POLL_S)
        return False

    async def _drain(self, admin: Admin) -> None:
        _log.info("draining", at_most_s=self._config.drain_s)
        with suppress(OSError, TimeoutError):  # without Envoy there is nothing to wait for
            await asyncio.to_thread(admin.begin_drain)
            async with asyncio.timeout(self._config.drain_s):
                # ASYNC110 suggests an Event, but another process has the state.
                while await asyncio.to_thread(admin.running_requests):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_S)


async def _end_all(children: Sequence[_Child]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for child in children:
            tasks.create_task(child.end())


class _Child:
    """A process that is kept running."""

    def __init__(self, name: str, command: Sequence[str], variables: Mapping[str, str]) -> None:
        self.restarts = False
        self._name = name
        self._command = [*_TETHER, str(os.getpid()), *command]
        self._variables = variables
        self._process: asyncio.subprocess.Process | None = None
        self._ending = asyncio.Event()

    async def keep(self) -> None:
        """Run the process until `end`; restart it when it ends earlier.

        Raises:
            StartError: it ended before `restarts` was set.
        """
        pause_s = _FIRST_PAUSE_S
        while not self._ending.is_set():
            started = time.monotonic()
            code = await self._run()
            if self._ending.is_set():
                return
            if not self.restarts:
                raise StartError(f"{self._name} ended with code {code}: see the log lines above")
            if time.monotonic() - started > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            _log.error("restarting", child=self._name, exit_code=code, pause_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _run(self) -> int:
        """Run the process to its end, forward its log lines, and return its exit code."""
        sink, forwarding = forward_lines()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=child_environment(self._variables),
                stdin=asyncio.subprocess.DEVNULL,
                stderr=sink,
                start_new_session=True,
            )
        finally:
            os.close(sink)
        code = await self._process.wait()
        # Children of the process may live a moment longer and keep the pipe open.
        await asyncio.to_thread(forwarding.join, _LAST_LINES_S)
        return code

    async def end(self) -> None:
        """Ask the process to end; kill it after a while."""
        self._ending.set()
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            _log.warning("killing", child=self._name)

    def kill(self) -> None:
        """End the process at once."""
        self._ending.set()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()


def _worker(index: int, path: Path) -> _Child:
    command = [sys.executable, "-m", "kazoo_media", "gateway-worker"]
    command += ["--index", str(index), "--socket", str(path)]
    return _Child(f"worker-{index}", command, ALLOCATOR)


@contextmanager
def _runtime_folder() -> Iterator[Path]:
    """Make a private folder with a short name: paths of unix sockets end at 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="kazoo-media-"))
    if len(str(folder)) > 80:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="kazoo-media-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_ports_are_free(config: Config) -> None:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    ports = {"KAZOO_MEDIA_HTTP_PORT": config.http_port, "KAZOO_MEDIA_GRPC_PORT": config.grpc_port}
    for variable, port in ports.items():
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((config.host, port))
            except OSError as error:
                raise StartError(
                    f"{variable}={port} on KAZOO_MEDIA_HOST={config.host}: {error.strerror}"
                ) from error


def _all_serve(config: Config, sockets: Sequence[Path]) -> bool:
    # One worker is enough for /healthz, but the first one makes the announced account: each worker
    # binds its socket after such work.
    return all(path.exists() for path in sockets) and _is_healthy(config)


def _is_healthy(config: Config) -> bool:
    netloc = Bootstrap.new(config, "", "").rest_url.partition("//")[2]
    connection = http.client.HTTPConnection(netloc, timeout=_STOP_TIMEOUT_S)
    if config.tls_cert:
        # The service's own port on this machine: the names in the certificate do not matter.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection = http.client.HTTPSConnection(netloc, timeout=_STOP_TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
