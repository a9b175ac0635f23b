"""A network between client and PostgreSQL that is cut at a commit."""

from __future__ import annotations

import contextlib
import enum
import socket
import tempfile
import threading
from pathlib import Path
from typing import Self

_COMMIT = b"commit\0"  # the end of the client's message


class Cut(enum.Enum):
    """What is lost of a commit."""

    NOTHING = enum.auto()
    COMMIT = enum.auto()
    """It does not reach the server."""
    ANSWER = enum.auto()
    """The server commits, and its answer does not reach the client."""


class CommitCutter:
    """Passes connections on a unix socket to that of a server.

    Attributes:
        folder: Where the socket is.
        next_cut: What happens to the next commit; `Cut.NOTHING` again afterwards.
        refuses: Whether connections that are made after a cut are closed at once.
        has_cut: Set when a connection was cut.
    """

    def __init__(self, server: Path) -> None:
        self.next_cut = Cut.NOTHING
        self.refuses = False
        self.has_cut = threading.Event()
        self._server = str(server / ".s.PGSQL.5432")
        self._temporary = tempfile.TemporaryDirectory(prefix="kazoo-proxy-")
        self.folder = Path(self._temporary.name)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listener.listen(100)
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        _close(*self._open)
        for each in self._open:
            each.close()
        self._temporary.cleanup()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.has_cut.is_set() and self.refuses:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._open += [client, server]
                drops = threading.Event()
                for act in (self._to_server, self._to_client):
                    thread = threading.Thread(target=act, args=(client, server, drops), daemon=True)
                    thread.start()

    def _to_server(
        self, client: socket.socket, server: socket.socket, drops: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self.next_cut is not Cut.NOTHING and data.endswith(_COMMIT):
                    cut, self.next_cut = self.next_cut, Cut.NOTHING
                    if cut is Cut.ANSWER:
                        drops.set()
                        server.sendall(data)
                        continue
                    self.has_cut.set()
                    break
                server.sendall(data)
        _close(client, server)

    def _to_client(
        self, client: socket.socket, server: socket.socket, drops: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if drops.is_set():  # the commit is done
                    self.has_cut.set()
                    break
                client.sendall(data)
        _close(client, server)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
