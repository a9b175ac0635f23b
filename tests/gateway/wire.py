"""Bytes on the wire: requests that no HTTP library would send, answers as they really came."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One HTTP/1 answer, read until the connection closed or its length was reached."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.body)


def exchange(port: int, request: bytes) -> Answer:
    """Send bytes on a new connection and return the first final answer."""
    with connect(port) as connection:
        connection.sendall(request)
        return read_answer(connection)


def connect(port: int) -> socket.socket:
    """Return a connection to a port of this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read_answer(connection: socket.socket) -> Answer:
    """Return the next answer; interim 100s are skipped."""
    with connection.makefile("rb") as stream:
        while True:
            status = int(stream.readline().split()[1])
            headers = {}
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            if status != 100:
                break
        length = int(headers.get("content-length", -1))
        return Answer(status, headers, stream.read(length))
