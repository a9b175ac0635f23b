"""A server with the protocol of iSpeech; tests choose its failures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class ISpeechServer:
    """The received requests and the answer to them.

    Attributes:
        count: How often the body is repeated.
        is_cut: Whether it disconnects in the middle of its answer.
        silent_s: Pause before every 100 bytes of the body.
    """

    asked: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "audio/x-wav"
    body: bytes = b"RIFF" + bytes(300_000)
    count: int = 1
    is_cut: bool = False
    silent_s: float = 0.0
    url: str = ""

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in the pieces in which it is sent."""
        size = 100 if self.silent_s else len(self.body) or 1
        for _ in range(self.count):
            for start in range(0, len(self.body), size):
                time.sleep(self.silent_s)
                yield self.body[start : start + size]


@contextmanager
def ispeech_server() -> Iterator[ISpeechServer]:
    """Serve on a free port of this host."""
    state = ISpeechServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            state.asked.append(json.loads(self.rfile.read(length)))
            assert self.headers["content-type"] == "application/json"
            self.send_response(state.status)
            self.send_header("content-type", state.content_type)
            size = len(state.body) * state.count + state.is_cut
            self.send_header("content-length", str(size))
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                for piece in state.pieces():
                    self.wfile.write(piece)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}/api/json"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield state
        server.shutdown()
