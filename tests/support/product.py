"""The built product for tests: `kazoo-media serve` with its own data folder."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from kazoo_media.service import gateway_worker
from kazoo_media.service.bootstrap import Bootstrap

_START_S = 30.0


def _ports() -> Iterator[int]:
    """Yield ports in a cycle that other processes of the same test run do not use.

    They are below 32768, where the system's ports for outgoing connections begin.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = range(10_000 + number % 20 * 1000, 11_000 + number % 20 * 1000)
    start = random.randrange(len(own))  # concurrent runs on this machine begin at different ports
    return itertools.cycle([*own[start:], *own[:start]])


_own_ports = _ports()


def free_port() -> int:
    """Return a free TCP port, a different one each time."""
    for port in _own_ports:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def is_open(port: int) -> bool:
    """Return whether a process listens on a TCP port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = _START_S) -> None:
    """Return when the condition holds; fail the test with its name if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not in {timeout_s} s: {what}"
        time.sleep(0.02)


class Product:
    """`kazoo-media serve`, its workers and its Envoy.

    Attributes:
        data_dir: The data folder. It survives `stop`, so that a second Product can use it.
        variables: The configuration, by names without `KAZOO_MEDIA_`.
        environment: Of its processes.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        """Keep a folder for data and output; names in `variables` omit `KAZOO_MEDIA_`."""
        self.data_dir = folder / "data"
        self._out, self._err = folder / "stdout", folder / "stderr"
        self.variables = {
            "data_dir": str(self.data_dir),
            "http_port": str(free_port()),
            "grpc_port": str(free_port()),
            **variables,
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("KAZOO_MEDIA_")}
        self.environment = {
            **inherited,
            **{f"KAZOO_MEDIA_{name.upper()}": value for name, value in self.variables.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start and return when it is ready."""
        self.launch()
        wait_until(lambda: self.is_ready() or not self.is_running(), "ready")
        assert self.is_ready(), f"serve ended before it was ready:\n{self.log()}"
        return self

    def launch(self) -> None:
        """Start without waiting."""
        with self._out.open("wb") as out, self._err.open("ab") as err:
            self._process = subprocess.Popen(
                self.command(), env=self.environment, stdout=out, stderr=err
            )

    def command(self) -> list[str]:
        """Return the command that `launch` starts."""
        return [sys.executable, "-m", "kazoo_media", "serve"]

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 40.0) -> int:
        """Send a signal and return the exit code."""
        if self.is_running():
            self.process.send_signal(number)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Kill the supervisor with SIGKILL, like a crash."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Return the supervisor."""
        assert self._process is not None, "not started"
        return self._process

    def is_running(self) -> bool:
        """Return whether the supervisor is running."""
        return self.process.poll() is None

    def is_ready(self) -> bool:
        """Return whether it has printed its `ready` line."""
        return any(line.startswith("ready") for line in self.output().splitlines())

    @property
    def bootstrap(self) -> Bootstrap:
        """Return the content of bootstrap.json."""
        found = Bootstrap.read(self.data_dir)
        assert found is not None, "there is no bootstrap.json"
        return found

    @property
    def rest_url(self) -> str:
        """Return the REST address, without `/v2`."""
        return self.bootstrap.rest_url

    @property
    def grpc_target(self) -> str:
        """Return host:port of the gRPC surface."""
        return self.bootstrap.grpc_target

    @property
    def account_id(self) -> str:
        """Return the master account's id."""
        return self.bootstrap.account_id

    @property
    def api_key(self) -> str:
        """Return the master account's API key."""
        return self.bootstrap.api_key

    def workers(self) -> dict[int, psutil.Process]:
        """Return the running workers by index."""
        found = {}
        for child in self._children():
            command = _command(child)
            if gateway_worker.__name__ in command:
                found[int(command[-2])] = child
        return found

    def envoy(self) -> psutil.Process:
        """Return the running Envoy."""
        return next(each for each in self._children() if _command(each)[0].endswith("/envoy"))

    def kill_worker(self, index: int = 0) -> int:
        """Kill a worker with SIGKILL and return its process id."""
        worker = self.workers()[index]
        worker.kill()
        return worker.pid

    def output(self) -> str:
        """Return the text on stdout."""
        return self._out.read_text() if self._out.exists() else ""

    def log(self) -> str:
        """Return the logs of all processes."""
        return self._err.read_text(errors="replace") if self._err.exists() else ""

    def log_lines(self) -> list[dict[str, object]]:
        """Return the complete log lines, each of which is JSON; the last may be incomplete."""
        return [json.loads(line) for line in self.log().split("\n")[:-1]]

    def _children(self) -> list[psutil.Process]:
        return list(filter(is_alive, psutil.Process(self.process.pid).children()))


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process is running."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() or [""]
    except psutil.NoSuchProcess:
        return [""]
