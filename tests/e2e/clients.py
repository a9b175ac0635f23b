"""Clients of the built product that do what no client library would: cut, trickle, stall."""

from __future__ import annotations

import hashlib
import os
import queue
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import grpc
import httpx
import psutil
from google.protobuf.struct_pb2 import Value

from kazoo_media.v1 import account_service_pb2 as accounts_pb
from kazoo_media.v1 import media_service_pb2 as media_pb
from kazoo_media.v1.account_service_pb2_grpc import AccountServiceStub
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from kazoo_media.v1.settings_service_pb2 import SetDefaultSettingRequest
from kazoo_media.v1.settings_service_pb2_grpc import SettingsServiceStub
from tests.gateway.wire import Answer, read_answer
from tests.support.names import unique_name
from tests.support.product import Product, wait_until

HANG_S = 30.0
_MESSAGE_BYTES = 512 * 1024
# Every channel has connections of its own: cutting one must not touch another.
_CHANNEL_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
_Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Tenant:
    """An account of a running product and a token of it, for both surfaces."""

    product: Product
    account_id: str
    token: str
    http: httpx.Client = field(repr=False)
    channel: grpc.Channel = field(repr=False)
    _opened: list[socket.socket] = field(default_factory=list, repr=False)

    @classmethod
    @contextmanager
    def log_in(cls, product: Product, api_key: str = "") -> Iterator[Self]:
        """Give the account of an API key, the master account without one."""
        with (
            httpx.Client(base_url=product.rest_url, timeout=HANG_S) as http,
            grpc.insecure_channel(product.grpc_target, _CHANNEL_OPTIONS) as channel,
        ):
            key = api_key or product.api_key
            answer = http.put("/v2/api_auth", json={"data": {"api_key": key}}).json()
            token, account_id = answer["auth_token"], answer["data"]["account_id"]
            http.headers["x-auth-token"] = token
            tenant = cls(product, account_id, token, http, channel)
            try:
                yield tenant
            finally:
                for each in tenant._opened:  # a test that failed left them as they were
                    reset(each)

    @contextmanager
    def new_tenant(self) -> Iterator[Self]:
        """Give a new account below this one."""
        request = accounts_pb.CreateAccountRequest(name=unique_name("tenant"))
        created = AccountServiceStub(self.channel).CreateAccount(request, metadata=self.metadata)
        with self.log_in(self.product, created.api_key) as tenant:
            yield tenant

    @property
    def metadata(self) -> _Metadata:
        """Return what authorizes a gRPC call."""
        return (("x-auth-token", self.token),)

    @property
    def stub(self) -> MediaServiceStub:
        """Return the typed media service."""
        return MediaServiceStub(self.channel)

    def connect(self, receive_buffer_bytes: int = 0) -> socket.socket:
        """Return a connection to the REST port, closed at the end if it still is open then."""
        address = urlsplit(self.product.rest_url)
        connection = socket.socket()
        self._opened.append(connection)
        if receive_buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        connection.settimeout(HANG_S)
        connection.connect((address.hostname, address.port))
        return connection

    def path(self, media_id: str = "", *, raw: bool = False) -> str:
        """Return the path of the account's media, of one of them, of its audio."""
        item = f"/{quote(media_id, safe='')}" if media_id else ""
        return f"/v2/accounts/{self.account_id}/media{item}{'/raw' if raw else ''}"

    def create(self) -> str:
        """Add a media without audio and return its id."""
        answer = self.http.put(self.path(), json={"data": {"name": "a media"}})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["id"])

    def upload(self, media_id: str, audio: bytes) -> dict[str, Any]:
        """Make a WAV the content of a media and return its document."""
        headers = {"content-type": "audio/wav"}
        answer = self.http.post(self.path(media_id, raw=True), content=audio, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    def with_audio(self, audio: bytes) -> str:
        """Add a media with this audio and return its id."""
        media_id = self.create()
        self.upload(media_id, audio)
        return media_id

    def document(self, media_id: str) -> dict[str, Any]:
        """Return a document."""
        answer = self.http.get(self.path(media_id))
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    def download(self, media_id: str, accept: str = "*/*") -> bytes | None:
        """Return the audio, None when there is none."""
        answer = self.http.get(self.path(media_id, raw=True), headers={"accept": accept})
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        return answer.content

    def receive(self, media_id: str) -> Iterator[bytes]:
        """Yield the audio as gRPC brings it, without its header."""
        request = media_pb.DownloadContentRequest(account_id=self.account_id, media_id=media_id)
        for message in self.stub.DownloadContent(request, metadata=self.metadata):
            if message.WhichOneof("part") == "data":
                yield message.data

    def set_default(self, category: str, key: str, value: str) -> None:
        """Change a setting for all nodes; text is taken as the setting's type."""
        request = SetDefaultSettingRequest(
            category=category, key=key, value=Value(string_value=value)
        )
        SettingsServiceStub(self.channel).SetDefaultSetting(request, metadata=self.metadata)


class RestUpload:
    """An upload over a plain socket; HTTP/1.1, with a Content-Length or chunked."""

    def __init__(
        self, tenant: Tenant, media_id: str, size_bytes: int | None, headers: Sequence[str] = ()
    ) -> None:
        """Send the head. `size_bytes` None: chunked."""
        self._chunked = size_bytes is None
        length = "Transfer-Encoding: chunked"
        if size_bytes is not None:
            length = f"Content-Length: {size_bytes}"
        path = tenant.path(media_id, raw=True)
        lines = (f"POST {path} HTTP/1.1", length, "Content-Type: audio/wav", *headers)
        self.socket = tenant.connect()
        self.socket.sendall(_head(tenant, lines))

    def send(self, data: bytes) -> None:
        """Send bytes of the audio."""
        try:
            self.socket.sendall(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        except OSError as error:
            with suppress(OSError):
                error.add_note(f"the service had sent {self.socket.recv(65536)!r}")
            raise

    def finish(self) -> Answer:
        """End the body, if it needs that, and return the answer."""
        with self.socket:
            if self._chunked:
                self.socket.sendall(b"0\r\n\r\n")
            return read_answer(self.socket)

    def cut(self) -> None:
        """Go away as a crashed machine does."""
        reset(self.socket)


class GrpcUpload:
    """An upload over native gRPC, message by message."""

    def __init__(self, tenant: Tenant, media_id: str) -> None:
        self._size_bytes, self._digest = 0, hashlib.sha256()
        self._messages = queue.SimpleQueue[media_pb.UploadContentRequest | None]()
        self._call = tenant.stub.UploadContent.future(
            iter(self._messages.get, None), metadata=tenant.metadata
        )
        header = media_pb.UploadContentRequest.Header(
            account_id=tenant.account_id, media_id=media_id, content_type="audio/wav"
        )
        self._messages.put(media_pb.UploadContentRequest(header=header))

    def send(self, data: bytes) -> None:
        """Send bytes of the audio."""
        self._size_bytes += len(data)
        self._digest.update(data)
        for start in range(0, len(data), _MESSAGE_BYTES):
            block = data[start : start + _MESSAGE_BYTES]
            self._messages.put(media_pb.UploadContentRequest(data=block))

    def finish(self) -> media_pb.UploadContentResponse:
        """End the upload and return the answer.

        Raises:
            grpc.RpcError: it was refused or broke.
        """
        finish = media_pb.UploadContentRequest.Finish(
            size_bytes=self._size_bytes, sha256=self._digest.hexdigest()
        )
        self._messages.put(media_pb.UploadContentRequest(finish=finish))
        self._messages.put(None)
        return self._call.result(HANG_S)

    def cut(self) -> None:
        """Cancel the call."""
        self._call.cancel()
        self._messages.put(None)


class RestDownload:
    """A download over a plain socket that is read only as far as asked.

    Attributes:
        length: The Content-Length.
    """

    def __init__(self, tenant: Tenant, media_id: str) -> None:
        """Send the request and read the head of a 200."""
        self.socket = tenant.connect(receive_buffer_bytes=64 * 1024)
        self.socket.sendall(_head(tenant, (f"GET {tenant.path(media_id, raw=True)} HTTP/1.1",)))
        head, _, self._ahead = self._received_until(b"\r\n\r\n").partition(b"\r\n\r\n")
        status, *lines = head.decode().splitlines()
        assert status.split()[1] == "200", head
        headers = dict(line.lower().split(": ", 1) for line in lines)
        self.length = self._left = int(headers["content-length"])

    def read(self, size_bytes: int | None = None) -> bytes:
        """Return so many bytes, None: all that are left; fewer when the connection ended before."""
        wanted = self._left if size_bytes is None else size_bytes
        pieces = [self._ahead[:wanted]]
        self._ahead = self._ahead[wanted:]
        missing = wanted - len(pieces[0])
        with suppress(ConnectionError):
            while missing and (data := self.socket.recv(min(missing, 65536))):
                pieces.append(data)
                missing -= len(data)
        self._left -= wanted - missing
        return b"".join(pieces)

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def _received_until(self, end: bytes) -> bytes:
        received = b""
        while end not in received:
            data = self.socket.recv(1024)
            assert data, received
            received += data
        return received


class Relay:
    """A TCP port that leads to another one until it is cut."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(f"//{target}")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.target = "{}:{}".format(*self._listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def tenant_of(self, tenant: Tenant) -> Iterator[Tenant]:
        """Give the same account with gRPC calls that go through here."""
        with grpc.insecure_channel(self.target, _CHANNEL_OPTIONS) as channel:
            yield replace(tenant, channel=channel)

    def cut(self) -> None:
        """Reset every connection, on both sides, and take no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            reset(each)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self._target.hostname, self._target.port))
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=_copy, args=pair, daemon=True).start()


class PeakMemory:
    """While it is entered, the most resident memory that processes have.

    Attributes:
        growth_mib: By name, how much more than at the beginning.
    """

    def __init__(self, product: Product) -> None:
        workers = product.workers().items()
        self._processes = {f"worker {index}": each for index, each in workers}
        self._processes["envoy"] = product.envoy()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.growth_mib: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        first = {name: each.memory_info().rss for name, each in self._processes.items()}
        while not self._ended.wait(0.02):
            for name, each in self._processes.items():
                with suppress(psutil.NoSuchProcess):
                    grown = (each.memory_info().rss - first[name]) / 2**20
                    self.growth_mib[name] = max(grown, self.growth_mib.get(name, 0.0))


def reset(connection: socket.socket) -> None:
    """Close a connection with a TCP reset, which no buffer holds back."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)  # says nothing to the peer, but wakes who reads here
    connection.close()


def command(product: Product, *arguments: str) -> str:
    """Run `kazoo-media` with these arguments on the product's machine; return what it printed."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("KAZOO_MEDIA_")}
    run = subprocess.run(
        [sys.executable, "-m", "kazoo_media", *arguments],
        env={**inherited, "KAZOO_MEDIA_DATA_DIR": str(product.data_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def pending_blobs(product: Product) -> int:
    """Return how many blobs belong to uploads that run."""
    return _count(product, "pending")


def blob_files(data_dir: Path) -> list[Path]:
    """Return the files of the blob store, published or not."""
    return [path for path in (data_dir / "blobs").rglob("*") if path.is_file()]


def wait_until_settled(product: Product) -> None:
    """Return when every upload has ended and no files but those of live content are left."""
    wait_until(lambda: pending_blobs(product) == 0, "no upload is pending")
    wait_until(
        lambda: len(blob_files(product.data_dir)) == _count(product, "live"),
        "there are no files but those of live content",
    )


def _count(product: Product, state: str) -> int:
    path = f"file:{product.data_dir}/metadata.sqlite?mode=ro"
    database = sqlite3.connect(path, uri=True)
    try:
        query = "select count(*) from blob where state = ?"
        return int(database.execute(query, (state,)).fetchone()[0])
    finally:
        database.close()


def _head(tenant: Tenant, lines: Sequence[str]) -> bytes:
    first, *rest = lines
    return "\r\n".join([first, "Host: a", f"X-Auth-Token: {tenant.token}", *rest, "", ""]).encode()


def _copy(source: socket.socket, destination: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            destination.sendall(data)
