"""Envoy with the product's configuration, in front of stub workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from kazoo_media.config import Config
from kazoo_media.service.envoy import (
    envoy_command,
    envoy_variables,
    find_envoy,
    write_configuration,
)
from tests.support.product import free_port, wait_until


class Gateway:
    """A running Envoy and its stub workers; their processes end with it."""

    def __init__(
        self,
        runtime: Path,
        workers: int = 1,
        variables: Mapping[str, str] | None = None,
        rest: Mapping[str, str] | None = None,
    ) -> None:
        """Keep where sockets lie; `variables` are without `KAZOO_MEDIA_`; `rest` replaces settings
        of the REST listener's connection manager.
        """
        self._rest = dict(rest or {})
        self.rest_port, self.grpc_port = free_port(), free_port()
        given = dict(variables or {})
        self.secure = "tls_cert" in given
        self._runtime = runtime
        self._sockets = [runtime / f"worker-{index}.sock" for index in range(workers)]
        ports = {"http_port": str(self.rest_port), "grpc_port": str(self.grpc_port)}
        wanted = {**ports, "node_name": "node-1", **given}
        self._config = Config.from_environ(
            {f"KAZOO_MEDIA_{name.upper()}": value for name, value in wanted.items()}
        )
        self.workers: list[subprocess.Popen[bytes]] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def rest_url(self) -> str:
        """Return the address of the REST listener."""
        return f"http{'s' * self.secure}://127.0.0.1:{self.rest_port}"

    def __enter__(self) -> Self:
        for index in range(len(self._sockets)):
            self.start_worker(index)
        path = write_configuration(self._config, self._runtime, self._sockets)
        document = json.loads(path.read_text())
        listener = document["static_resources"]["listeners"][0]
        listener["filter_chains"][0]["filters"][0]["typed_config"].update(self._rest)
        path.write_text(json.dumps(document))
        environment = {**os.environ, **envoy_variables(self._config)}
        with (self._runtime / "envoy.log").open("wb") as log:
            command = envoy_command(find_envoy(None), path, len(self._sockets))
            self._processes.append(subprocess.Popen(command, env=environment, stderr=log))
        if not self.secure:
            wait_until(self._is_live, "the gateway answers 200 on /healthz")
        return self

    def __exit__(self, *exception: object) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def start_worker(self, index: int) -> None:
        """Start a stub worker and return when it listens."""
        path = self._sockets[index]
        path.unlink(missing_ok=True)
        with (self._runtime / "worker.log").open("ab") as log:
            command = [sys.executable, "-m", "tests.gateway.stub_worker", str(path)]
            worker = subprocess.Popen(command, stdout=log)
        self._processes.append(worker)
        self.workers[index : index + 1] = [worker]
        wait_until(path.exists, "the worker listens")

    def access_log(self) -> list[dict[str, Any]]:
        """Return the lines of the access log so far."""
        lines = (self._runtime / "envoy.log").read_text().split("\n")[:-1]
        return [line for line in map(json.loads, lines) if line.get("event") == "access"]

    def worker_log(self, call: str) -> list[dict[str, Any]]:
        """Return what the workers said about a call so far."""
        lines = (self._runtime / "worker.log").read_text().split("\n")[:-1]
        return [line for line in map(json.loads, lines) if line["call"] == call]

    def _is_live(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.rest_url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
