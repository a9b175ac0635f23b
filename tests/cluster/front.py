"""The Envoy of `deploy/envoy/front.yaml` in front of nodes on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from kazoo_media.service.envoy import find_envoy
from tests.support.product import Product, free_port, is_open, wait_until

_CONFIGURATION = Path(__file__).parents[2] / "deploy" / "envoy" / "front.yaml"


class FrontEnvoy:
    """One Envoy for several nodes; it ends with the block.

    Attributes:
        rest_url: Address of its REST port.
        grpc_target: host:port of its gRPC port.
    """

    def __init__(self, folder: Path, nodes: Sequence[Product]) -> None:
        """Send to the ports of these nodes."""
        self._folder = folder
        ports = {"rest": free_port(), "grpc": free_port()}
        self.rest_url = f"http://127.0.0.1:{ports['rest']}"
        self.grpc_target = f"127.0.0.1:{ports['grpc']}"
        document = yaml.safe_load(_CONFIGURATION.read_text())
        resources = document["static_resources"]
        for listener in resources["listeners"]:
            port = ports[listener["name"]]
            listener["address"]["socket_address"] = _loopback(port)
        for cluster in resources["clusters"]:
            cluster["type"] = "STATIC"
            kind = {"rest": "http_port", "grpc": "grpc_port"}[cluster["name"]]
            cluster["load_assignment"]["endpoints"] = [
                {"lb_endpoints": [_endpoint(node, kind) for node in nodes]}
            ]
        self._ports = ports.values()
        self._path = folder / "front.yaml"
        self._path.write_text(yaml.safe_dump(document))

    def __enter__(self) -> FrontEnvoy:
        command = [
            str(find_envoy(None)), "-c", str(self._path), "--disable-hot-restart",
            "--concurrency", "1", "--log-level", "warning",
        ]  # fmt: skip
        environment = {**os.environ, "GLIBC_TUNABLES": "glibc.pthread.rseq=0"}
        with (self._folder / "front.log").open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_until(lambda: all(map(is_open, self._ports)), "the front Envoy listens")
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()


def _endpoint(node: Product, kind: str) -> dict[str, Any]:
    health = {"port_value": int(node.variables["http_port"])}
    address = {"socket_address": _loopback(int(node.variables[kind]))}
    return {"endpoint": {"address": address, "health_check_config": health}}


def _loopback(port: int) -> dict[str, Any]:
    return {"address": "127.0.0.1", "port_value": port}
