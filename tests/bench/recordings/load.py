"""Recordings in real time over gRPC, as many as asked for, from one process.

python -m tests.bench.recordings.load PORT ACCOUNT,... TOKEN STREAMS SECONDS

It speaks HTTP/2 by h2: a gRPC client would need more of the processors than the service. Each
stream sends 64 kbit/s of mu-law in a message of 2,000 bytes every 250 ms, as `Recorder` does. One
line "running" is printed when every stream sends; then, after the seconds, a JSON object.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import uvloop

from kazoo_media.v1.upload_service_pb2 import (
    RAW_ENCODING_MULAW,
    AppendUploadRequest,
    AppendUploadResponse,
)
from tests.bench.recordings.header import new_header
from tests.bench.recordings.report import MESSAGE_BYTES, PERIOD_S, report

_STREAMS_EACH = 100
"""On one connection."""

_OPEN_EACH_S = 0.002
_WINDOW = 1 << 28


@dataclass(slots=True)
class _Upload:
    """One recording: what is on its way, and what has been acknowledged."""

    sent_size: int = 0
    persisted_size: int = -1
    received: bytearray = field(default_factory=bytearray)
    unacknowledged: deque[tuple[int, float]] = field(default_factory=deque)


class _Connection(asyncio.Protocol):
    """One connection with up to a hundred recordings.

    Attributes:
        failures: What ended streams or the connection before their time.
        waits_s: For each acknowledged message the time from sending it to its acknowledgement.
    """

    def __init__(self, account_id: str, token: str) -> None:
        self.failures: list[str] = []
        self.waits_s: list[float] = []
        self.is_closing = False
        self._account_id = account_id
        self._token = token
        self._uploads: dict[int, _Upload] = {}
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))

    @property
    def acknowledged(self) -> list[int]:
        """Return how many bytes of each recording are durable, -1 before the first answer."""
        return [each.persisted_size for each in self._uploads.values()]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._http.initiate_connection()
        self._http.increment_flow_control_window(_WINDOW)
        self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            match event:
                case h2.events.DataReceived():
                    self._http.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                    self._take(self._uploads[event.stream_id], event.data)
                case h2.events.StreamEnded() | h2.events.StreamReset():
                    self._fail(f"stream {event.stream_id} ended")
                case h2.events.TrailersReceived() | h2.events.ResponseReceived():
                    if dict(event.headers).get(b"grpc-status", b"0") != b"0":
                        self._fail(str(dict(event.headers)))
                case h2.events.ConnectionTerminated():
                    self._fail("the connection was terminated")
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost: {exc}")

    def open(self) -> None:
        """Begin one recording."""
        stream_id = self._http.get_next_available_stream_id()
        self._uploads[stream_id] = _Upload()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/kazoo_media.v1.UploadService/AppendUpload"),
            (":authority", "127.0.0.1"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("authorization", f"Bearer {self._token}"),
        ]
        header = new_header(self._account_id, RAW_ENCODING_MULAW)
        self._http.send_headers(stream_id, headers)
        self._send(stream_id, AppendUploadRequest(header=header))
        self._flush()

    def send(self) -> None:
        """Send the next message of every recording."""
        now = time.monotonic()
        for stream_id, upload in self._uploads.items():
            data = secrets.token_bytes(MESSAGE_BYTES)
            if self._http.local_flow_control_window(stream_id) < 2 * MESSAGE_BYTES:
                continue  # the service is late; the next message comes with its acknowledgement
            self._send(stream_id, AppendUploadRequest(write_offset=upload.sent_size, data=data))
            upload.sent_size += MESSAGE_BYTES
            upload.unacknowledged.append((upload.sent_size, now))
        self._flush()

    def close(self) -> None:
        """Cut the connection."""
        self.is_closing = True
        self._transport.abort()

    def _send(self, stream_id: int, message: AppendUploadRequest) -> None:
        encoded = message.SerializeToString()
        self._http.send_data(stream_id, struct.pack(">BI", 0, len(encoded)) + encoded)

    def _take(self, upload: _Upload, data: bytes) -> None:
        upload.received += data
        while len(upload.received) >= 5:
            size = 5 + int.from_bytes(upload.received[1:5])
            if len(upload.received) < size:
                return
            message = AppendUploadResponse.FromString(bytes(upload.received[5:size]))
            del upload.received[:size]
            upload.persisted_size = message.persisted_size
            now = time.monotonic()
            while upload.unacknowledged and upload.unacknowledged[0][0] <= message.persisted_size:
                self.waits_s.append(now - upload.unacknowledged.popleft()[1])

    def _flush(self) -> None:
        if not self.is_closing:
            self._transport.write(self._http.data_to_send())

    def _fail(self, reason: str) -> None:
        if not self.is_closing:
            self.failures.append(reason)


async def _run(port: int, account_ids: list[str], token: str, streams: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    connections: list[_Connection] = []
    for number in range(streams):
        if number % _STREAMS_EACH == 0:
            connection = _Connection(account_ids[len(connections) % len(account_ids)], token)
            await loop.create_connection(lambda c=connection: c, "127.0.0.1", port)  # type: ignore[misc]
            connections.append(connection)
        connections[-1].open()
        await asyncio.sleep(_OPEN_EACH_S)
    while not all(size >= 0 for each in connections for size in each.acknowledged):
        await asyncio.sleep(0.01)
        if any(each.failures for each in connections):
            break
    sending = [loop.create_task(_send(each, turn)) for turn, each in enumerate(connections)]
    await report(
        seconds,
        lambda: [wait for each in connections for wait in _taken(each)],
        lambda: [failure for each in connections for failure in each.failures],
    )
    for task, each in zip(sending, connections, strict=True):
        task.cancel()
        each.close()


async def _send(connection: _Connection, turn: int) -> None:
    """Send every 250 ms until cancelled; the connections take turns."""
    next_s = time.monotonic() + turn * 0.037 % PERIOD_S
    while True:
        await asyncio.sleep(max(0, next_s - time.monotonic()))
        next_s += PERIOD_S
        connection.send()


def _taken(connection: _Connection) -> list[float]:
    waits_s, connection.waits_s = connection.waits_s, []
    return waits_s


if __name__ == "__main__":
    _port, _account_ids, _token, _streams, _seconds = sys.argv[1:]
    uvloop.run(_run(int(_port), _account_ids.split(","), _token, int(_streams), float(_seconds)))
