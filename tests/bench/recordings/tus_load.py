"""Resumable uploads in real time, as many as asked for, from one process.

python -m tests.bench.recordings.tus_load PORT UPLOADS SECONDS

Each has a connection and sends 64 kbit/s in a PATCH a second. The output is that of `load`.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
import time

import uvloop

from tests.bench.recordings.report import BYTES_A_SECOND, report

_OPEN_EACH_S = 0.002


class _Upload:
    """One upload over one connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._path = ""
        self._offset = 0

    async def open(self) -> None:
        """Begin the upload."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = await self._ask("POST", "/files", "Upload-Defer-Length: 1", b"")
        found = re.search(r"(?i)\r\nlocation: *(\S+)", head)
        if found is None:
            raise OSError(f"the peer did not begin an upload: {head}")
        self._path = re.sub(r"^https?://[^/]*", "", found[1])

    async def send(self, waits_s: list[float]) -> None:
        """Send a second of audio, each second until cancelled."""
        next_s = time.monotonic()
        while True:
            await asyncio.sleep(max(0, next_s - time.monotonic()))
            next_s += 1
            started = time.monotonic()
            headers = (
                f"Upload-Offset: {self._offset}\r\nContent-Type: application/offset+octet-stream"
            )
            head = await self._ask(
                "PATCH", self._path, headers, secrets.token_bytes(BYTES_A_SECOND)
            )
            if not head.startswith("HTTP/1.1 204"):
                raise OSError(f"the peer did not take a PATCH: {head}")
            self._offset += BYTES_A_SECOND
            waits_s.append(time.monotonic() - started)

    async def _ask(self, verb: str, path: str, headers: str, body: bytes) -> str:
        head = f"{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nTus-Resumable: 1.0.0\r\n"
        head += f"{headers}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)\r\ncontent-length: *(\d+)", answer)
        if length:
            await self._reader.readexactly(int(length[1]))
        elif "chunked" in answer.lower():
            await self._reader.readuntil(b"0\r\n\r\n")
        return answer


async def _run(port: int, count: int, seconds: float) -> None:
    waits_s: list[float] = []
    tasks: list[asyncio.Task[None]] = []
    for _ in range(count):
        upload = _Upload(port)
        await upload.open()
        tasks.append(asyncio.get_running_loop().create_task(upload.send(waits_s)))
        await asyncio.sleep(_OPEN_EACH_S)

    def take_waits() -> list[float]:
        taken = waits_s[:]
        waits_s.clear()
        return taken

    await report(
        seconds, take_waits, lambda: [str(task.exception()) for task in tasks if task.done()]
    )
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    _port, _count, _seconds = sys.argv[1:]
    uvloop.run(_run(int(_port), int(_count), float(_seconds)))
