"""A network between client and service that fails where a test wants it to."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class StallingProxy:
    """Passes bytes to a target and so many back; then nothing more comes, until it is cut.

    Attributes:
        target: host:port to connect to.
    """

    def __init__(self, target: str, returned_bytes: int) -> None:
        host, _, port = target.rpartition(":")
        self.stalled = threading.Event()
        self._limit = returned_bytes
        self._upstream = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listener]
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.cut()

    def cut(self) -> None:
        """Break all connections, accept no other."""
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                service = socket.create_connection(self._upstream)
                self._open += [client, service]
                for pair in ((client, service, None), (service, client, self._limit)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                passed += len(data)
                if limit is not None and passed > limit:
                    self.stalled.set()
                    return
                sink.sendall(data)
