"""Recorders that send by tus, while the call runs."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from contextlib import suppress

from tests.torture.files import SentFile, TusUpload
from tests.torture.http import HttpRecorders, live
from tests.torture.lanes import TICK_BYTES, TICK_S

_VERSION = {"tus-resumable": "1.0.0"}
_CHUNK_TICKS = 20


class TusRecorders(HttpRecorders):
    """Recorders that ask where to go on whenever they do not know."""

    fates: tuple[str, ...] = ("whole", "whole", "whole", "leave")

    async def record(self, name: str, fate: str, ticks: int) -> None:
        """Send a file; one that is left has more than its half."""
        file = SentFile(name, ticks * TICK_BYTES)
        data = file.data()
        path = await self._create(file, len(data))
        upload = TusUpload(file, _id(path))
        self._ledger.tus.append(upload)
        chances = random.Random(name)
        at = 0
        while at < len(data):
            if fate == "leave" and at > len(data) // 2:
                self._ledger.counts["left unfinished"] += 1
                await self._break_off(path, at, data)
                return
            size = min(len(data) - at, chances.randint(1, _CHUNK_TICKS) * TICK_BYTES)
            is_sized = chances.random() < 0.5
            if await self._patch(path, at, data[at : at + size], is_sized=is_sized):
                at += size
            else:
                at = await self._head(path)
        upload.is_finished = True

    async def _create(self, file: SentFile, size: int) -> str:
        """Return the path of a new upload; those whose answers were lost stay empty."""
        values = {"name": file.name, "type": "audio/x-wav", "sha256": file.digest()}
        metadata = ",".join(f"{key} {_base64(value)}" for key, value in values.items())
        headers = {**_VERSION, "upload-length": str(size), "upload-metadata": metadata}
        request = f"POST /v2/accounts/{self._http.account_id}/uploads"
        while (answer := await self._http.ask(request, (201,), headers)) is None:
            pass
        return answer.headers["location"]

    async def _patch(self, path: str, at: int, data: bytes, *, is_sized: bool) -> bool:
        """Send bytes as the call brings them; return whether all were acknowledged."""
        headers = _chunk(at) | ({"content-length": str(len(data))} if is_sized else {})
        # Another PATCH, which was late, may have taken the upload over: 409.
        answer = await self._http.ask(f"PATCH {path}", (204, 409), headers, live(data))
        if answer is None or answer.status_code != 204:
            return False
        offset = int(answer.headers["upload-offset"])
        self._ledger.acknowledge(_id(path), path, offset)
        return offset == at + len(data)

    async def _head(self, path: str) -> int:
        """Return where the upload goes on."""
        while (answer := await self._http.ask(f"HEAD {path}", (200,), _VERSION)) is None:
            pass
        offset = int(answer.headers["upload-offset"])
        self._ledger.place(_id(path), path, offset)
        return offset

    async def _break_off(self, path: str, at: int, data: bytes) -> None:
        """Send a PATCH that does not come to its end."""
        rest = data[at : (at + len(data)) // 2]
        with suppress(TimeoutError):
            async with asyncio.timeout(3 * TICK_S):
                await self._http.ask(f"PATCH {path}", (409,), _chunk(at), _endless(rest))


async def _endless(data: bytes) -> AsyncIterator[bytes]:
    async for part in live(data):
        yield part
    await asyncio.Event().wait()


def _chunk(at: int) -> dict[str, str]:
    headers = {"content-type": "application/offset+octet-stream", "upload-offset": str(at)}
    return {**_VERSION, **headers}


def _id(path: str) -> str:
    return path.rpartition("/")[2]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
