"""A network that cuts connections while a client sends."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from typing import Self


class CuttingProxy:
    """Passes connections to a port of this host and cuts some of them after random bytes.

    Attributes:
        port: Where it listens.
        cuts: How many connections it has cut.
    """

    def __init__(self, target_port: int, seed: int, most_cuts: int, most_bytes: int) -> None:
        self.cuts = 0
        self._target_port = target_port
        self._random = random.Random(seed)
        self._most_cuts = most_cuts
        self._most_bytes = most_bytes
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                service = socket.create_connection(("127.0.0.1", self._target_port))
                limit = self._random.randrange(self._most_bytes)
                for pair in ((client, service, limit), (service, client, None)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                passed += len(data)
                if limit is not None and passed > limit and self.cuts < self._most_cuts:
                    self.cuts += 1
                    sink.sendall(data[: limit - passed])
                    break
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        source.close()
