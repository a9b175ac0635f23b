"""Recorders that send a whole file when the call is over, as Kazoo's storage plans do."""

from __future__ import annotations

import asyncio

from tests.torture.files import PutFile, SentFile
from tests.torture.http import HttpRecorders
from tests.torture.lanes import TICK_BYTES, TICK_S, RefusedError

_REPEATS = 5


class PutRecorders(HttpRecorders):
    """Recorders that repeat a PUT until it is answered."""

    fates: tuple[str, ...] = ("whole", "repeat", "replace", "leave")

    async def record(self, name: str, fate: str, ticks: int) -> None:
        """Wait for the end of the call, and send its file."""
        put = PutFile(name)
        self._ledger.puts.append(put)
        file = SentFile(name, ticks * TICK_BYTES)
        await asyncio.sleep(ticks * TICK_S)
        if fate == "leave":
            self._ledger.counts["left unfinished"] += 1
            await self._attempt(put, file)
            return
        first = await self._until_stored(put, file)
        if fate == "repeat":
            for _ in range(_REPEATS - 1):
                _check(first, await self._until_stored(put, file))
        elif fate == "replace":
            other = SentFile(f"{name} again", ticks * TICK_BYTES)
            _check(first, await self._until_stored(put, other))

    async def _until_stored(self, put: PutFile, file: SentFile) -> str:
        """Return the id of the recording that the name stands for."""
        while (media_id := await self._attempt(put, file)) is None:
            pass
        return media_id

    async def _attempt(self, put: PutFile, file: SentFile) -> str | None:
        request = f"PUT /recordings/{self._http.account_id}/{put.name}?call_id={put.name}"
        headers = {"content-type": "audio/x-wav"}
        put.unanswered.append(file)
        answer = await self._http.ask(request, (200, 201), headers, file.data())
        if answer is None:
            self._ledger.counts["PUTs without an answer"] += 1
            return None
        put.unanswered.pop()
        put.acknowledged = file
        return str(answer.json()["data"]["id"])


def _check(media_id: str, again: str) -> None:
    if again != media_id:
        raise RefusedError(f"it was the recording {media_id} and is {again} now")
