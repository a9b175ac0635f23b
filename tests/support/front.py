"""The product's own Envoy in front of a worker that a test runs itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from kazoo_media.config import Config
from kazoo_media.service.envoy import (
    envoy_command,
    envoy_variables,
    find_envoy,
    write_configuration,
)
from tests.support.product import free_port, is_open, wait_until


class Front:
    """A running gateway.

    Attributes:
        socket: The socket on which a worker must listen; several may do so in turn.
        grpc_target: Address for gRPC clients.
    """

    def __init__(self, folder: Path) -> None:
        """Start Envoy with its files in this folder; return when its gRPC port is open."""
        port = free_port()
        self.socket = folder / "worker.sock"
        self.grpc_target = f"127.0.0.1:{port}"
        config = Config.from_environ(
            {"KAZOO_MEDIA_HTTP_PORT": str(free_port()), "KAZOO_MEDIA_GRPC_PORT": str(port)}
        )
        path = write_configuration(config, folder, [self.socket])
        with (folder / "envoy.log").open("wb") as log:
            self._process = subprocess.Popen(
                envoy_command(find_envoy(None), path, 1),
                env={**os.environ, **envoy_variables(config)},
                stderr=log,
            )
        wait_until(lambda: is_open(port), "the gateway's gRPC port is open")

    def stop(self) -> None:
        """Stop Envoy."""
        self._process.kill()
        self._process.wait()
