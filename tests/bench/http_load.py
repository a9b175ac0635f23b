"""An HTTP/1.1 client on plain sockets, whose own cost is negligible."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TIMEOUT_S = 300
_READ_BYTES = 1024 * 1024
_PACE_BYTES = 256 * 1024


class MeasurementError(Exception):
    """A measurement failed; the text says which and why."""


class NotThereError(MeasurementError):
    """The measured program is not installed, or the product lacks the feature."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a service and the credentials for it."""

    port: int
    account_id: str
    token: str

    @property
    def media_path(self) -> str:
        """Return the path of the collection of media."""
        return f"/v2/accounts/{self.account_id}/media"

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        return {"X-Auth-Token": self.token}

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection; the caller closes it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a transfer.

    Attributes:
        whole_s: From the first byte of the request to the last of the response.
        tail_s: From the moment the socket took the last byte to the last of the response.
    """

    whole_s: float
    tail_s: float


def ask(endpoint: Endpoint, verb: str, path: str, body: Any = None) -> dict[str, Any]:
    """Return the JSON answer to a request with a JSON body.

    Raises:
        MeasurementError: the answer is no success.
    """
    connection = endpoint.connect()
    try:
        data = None if body is None else json.dumps(body)
        headers = endpoint.headers | ({"Content-Type": "application/json"} if body else {})
        connection.request(verb, path, data, headers)
        return dict(json.loads(_answer(connection, f"{verb} {path}").read()))
    finally:
        connection.close()


def create_media(endpoint: Endpoint) -> str:
    """Return the id of a new media without content."""
    document = {"name": "bench", "description": "made by the benchmark", "streamable": True}
    created = ask(endpoint, "PUT", endpoint.media_path, {"data": document})
    return str(created["data"]["id"])


def upload(
    endpoint: Endpoint, verb: str, path: str, file: Path, rate_bytes_s: float | None = None
) -> Timing:
    """Send a file as WAV audio, at full speed or at a rate, and wait for the answer.

    Raises:
        MeasurementError: the answer is no success.
    """
    connection = endpoint.connect()
    try:
        connection.connect()
        started = time.perf_counter()
        connection.putrequest(verb, path)
        for name, value in endpoint.headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Type", "audio/x-wav")
        connection.putheader("Content-Length", str(file.stat().st_size))
        connection.endheaders()
        _send(connection, file, rate_bytes_s)
        sent = time.perf_counter()
        _answer(connection, f"{verb} {path}").read()
        ended = time.perf_counter()
        return Timing(ended - started, ended - sent)
    finally:
        connection.close()


def content(endpoint: Endpoint, path: str, content_type: str) -> bytes:
    """Return a complete response of this type.

    Raises:
        MeasurementError: the answer is no success.
    """
    connection = endpoint.connect()
    try:
        connection.request("GET", path, headers=endpoint.headers | {"Accept": content_type})
        return _answer(connection, f"GET {path}").read()
    finally:
        connection.close()


def download(endpoint: Endpoint, path: str, size_bytes: int) -> Timing:
    """Read a complete response and drop it.

    Raises:
        MeasurementError: the request failed, or the answer has another size.
    """
    connection = endpoint.connect()
    buffer = memoryview(bytearray(_READ_BYTES))
    try:
        connection.connect()
        started = time.perf_counter()
        connection.request("GET", path, headers=endpoint.headers | {"Accept": "audio/x-wav"})
        response = _answer(connection, f"GET {path}")
        received = 0
        while count := response.readinto(buffer):
            received += count
        ended = time.perf_counter()
    finally:
        connection.close()
    if received != size_bytes:
        raise MeasurementError(f"GET {path} gave {received} bytes of {size_bytes}")
    return Timing(ended - started, 0.0)


def _send(connection: http.client.HTTPConnection, file: Path, rate_bytes_s: float | None) -> None:
    with file.open("rb") as source:
        if rate_bytes_s is None:
            connection.sock.sendfile(source)
            return
        started, sent = time.perf_counter(), 0
        while piece := source.read(_PACE_BYTES):
            time.sleep(max(0.0, started + sent / rate_bytes_s - time.perf_counter()))
            connection.sock.sendall(piece)
            sent += len(piece)


def _answer(connection: http.client.HTTPConnection, what: str) -> http.client.HTTPResponse:
    response = connection.getresponse()
    if response.status not in (200, 201, 204):
        text = response.read(300).decode(errors="replace")
        raise MeasurementError(f"{what}: {response.status} {text}")
    return response
