"""Starts and stops the peers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.bench.http_load import Endpoint, MeasurementError, NotThereError

ACCOUNT_ID = "0123456789abcdef0123456789abcdef"
WORKER_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "67108864",
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_TOP_PAD_": "16777216",
}
"""Environment that the product gives its workers; both sides have it."""
_HERE = Path(__file__).parent
_START_S = 20
_STOP_S = 10


@dataclass(frozen=True, slots=True)
class Peers:
    """Running peers.

    Attributes:
        endpoint: Envoy's address; it leads to Starlette, and below `/files/` to nginx.
        nginx: Whether nginx is installed.
    """

    endpoint: Endpoint
    worker_pid: int
    envoy_pid: int
    nginx: bool


@contextmanager
def running_peers(folder: Path) -> Iterator[Peers]:
    """Yield peers that store in a folder; they are stopped on exit.

    Raises:
        MeasurementError: a peer did not start.
    """
    port = _free_port()
    binary = nginx_binary()
    with running_starlette(folder) as (worker_pid, token), _running_nginx(binary, folder):
        configuration = _filled("envoy.yaml", folder, port)
        envoy = str(Path(sys.executable).parent / "envoy")
        command = [envoy, "-c", str(configuration), "--concurrency", "1"]
        command += ["--disable-hot-restart", "--log-level", "error"]
        with _running(folder, command, lambda: _answers("127.0.0.1", port)) as envoy_pid:
            endpoint = Endpoint(port, ACCOUNT_ID, token)
            yield Peers(endpoint, worker_pid, envoy_pid, binary is not None)


@contextmanager
def running_starlette(folder: Path) -> Iterator[tuple[int, str]]:
    """Yield process id and token of the Starlette peer; it listens on `app.sock` in the folder."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "public.pem").write_bytes(public)
    path = str(folder / "app.sock")
    command = [sys.executable, "-m", "tests.bench.peers.starlette_app"]
    command += [str(folder), path, ACCOUNT_ID]
    environment = os.environ | WORKER_ENVIRONMENT
    with _running(folder, command, lambda: _answers(path, None), environment) as pid:
        yield pid, _token(key)


@contextmanager
def running_tus(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield process id and port of the tus peer, which keeps its files in an empty folder.

    Raises:
        NotThereError: Node.js or npm is not installed, or npm could not install the peer.
        MeasurementError: it did not start.
    """
    if shutil.which("npm") is None:
        raise NotThereError("the tus peer needs Node.js and npm")
    shutil.copytree(_HERE / "tus", folder, dirs_exist_ok=True)
    command = ["npm", "ci", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotThereError(f"npm could not install the tus peer: {done.stderr[-300:]}")
    (folder / "files").mkdir()
    port = _free_port()
    command = ["node", str(folder / "server.mjs"), str(folder / "files"), str(port)]
    with _running(folder, command, lambda: _answers("127.0.0.1", port)) as pid:
        yield pid, port


def nginx_binary() -> str | None:
    """Return the path of nginx, or None if it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


@contextmanager
def _running_nginx(binary: str | None, folder: Path) -> Iterator[None]:
    if binary is None:
        yield
        return
    (folder / "files").mkdir()
    configuration = _filled("nginx.conf", folder, 0)
    command = [binary, "-e", str(folder / "error.log"), "-c", str(configuration)]
    if os.geteuid() == 0:
        command += ["-g", "user root;"]  # nginx's own user could not enter the folder
    with _running(folder, command, lambda: _answers(str(folder / "nginx.sock"), None)):
        yield


@contextmanager
def _running(
    folder: Path,
    command: Sequence[str],
    ready: Callable[[], bool],
    environment: Mapping[str, str] = os.environ,
) -> Iterator[int]:
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _START_S
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text(errors="replace")[-500:]
                raise MeasurementError(f"{Path(command[0]).name} did not start: {text}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(host: str, port: int | None) -> bool:
    """Return whether a process listens on a port or, without a port, on a unix socket."""
    family = socket.AF_UNIX if port is None else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection, suppress(OSError):
        connection.connect(host if port is None else (host, port))
        return True
    return False


def _filled(name: str, folder: Path, port: int) -> Path:
    """Return a configuration template of this folder with its values filled in."""
    text = Template((_HERE / name).read_text()).safe_substitute(folder=folder, port=port)
    path = folder / name
    path.write_text(text)
    return path


def _token(key: rsa.RSAPrivateKey) -> str:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    claims = {"account_id": ACCOUNT_ID, "key_generation": 1, "exp": int(time.time()) + 24 * 3600}
    return jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(pem))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
