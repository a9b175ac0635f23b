"""The zygote as it is asked for many converters in one moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kazoo_media.audio.pool.zygote_client import ZygoteClient
from tests.support.processes import zygotes


async def test_more_requests_than_its_socket_takes_are_all_answered(tmp_path: Path) -> None:
    of_others = zygotes()  # the session keeps services with pools of their own
    nursery = await ZygoteClient.open(tmp_path)
    try:
        [zygote] = [each for each in zygotes() if each not in of_others]
        zygote.suspend()
        asked = [asyncio.ensure_future(nursery.fork()) for _ in range(280)]
        await asyncio.sleep(0)
        zygote.resume()
        forked = await asyncio.gather(*asked)
        assert len({pid for pid, _ in forked}) == 280
        for _, channel in forked:
            channel.close()
        await asyncio.gather(*(nursery.reap(pid) for pid, _ in forked))
        assert nursery.is_alive
        assert not zygote.children()
    finally:
        await nursery.aclose()
