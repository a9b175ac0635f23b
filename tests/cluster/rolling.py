"""A rolling restart under load: no request fails, and no recording waits long for an answer."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from kazoo_media.client import Client, Media, MediaServiceError
from tests.cluster.cluster import Cluster, running_cluster
from tests.support.audio_samples import tone
from tests.support.product import wait_until
from tests.torture.recorders import SPEC

_LOADS = 4
_MEDIA = "hold"
_MESSAGE_BYTES = 1600  # a fifth of a second
_MESSAGE_S = 0.2
_CALM_S = 5.0
_LONGEST_ACK_S = 3.0
_START_S = 90.0


class _Load:
    """Clients that ask all the time.

    Attributes:
        answers: How many requests got which answer.
        longest_ack_s: The longest time for which a recording that sends got no answer.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.longest_ack_s = 0.0
        self.ends = asyncio.Event()

    async def rest(self, token: str) -> None:
        """Read a document and its audio over REST, and write a document."""
        account = f"/v2/accounts/{self._cluster.account_id}/media"
        async with httpx.AsyncClient(
            base_url=self._cluster.rest_url, headers={"x-auth-token": token}, timeout=20
        ) as http:
            while not self.ends.is_set():
                for send in (
                    http.get(f"{account}/{_MEDIA}"),
                    http.get(f"{account}/{_MEDIA}/raw"),
                    http.put(account, json={"data": {"name": "Announcement"}}),
                ):
                    try:
                        answer = await send
                    except httpx.HTTPError as error:
                        self._count("REST", repr(error))
                    else:
                        self._count("REST", "" if answer.is_success else answer.text)

    async def grpc(self, client: Client) -> None:
        """Read a document over gRPC."""
        while not self.ends.is_set():
            try:
                await client.get_media(self._cluster.account_id, _MEDIA)
            except MediaServiceError as error:
                self._count("gRPC", repr(error))
            else:
                self._count("gRPC", "")
            await asyncio.sleep(0.005)

    async def record(self, client: Client, name: str, spool: Path) -> int:
        """Record in real time until the end; return how many bytes the recording has not."""
        sent = 0
        async with client.recorder(self._cluster.account_id, name, SPEC, spool) as recorder:
            known, known_s = 0, time.monotonic()
            while not self.ends.is_set():
                recorder.write(bytes(_MESSAGE_BYTES))
                sent += _MESSAGE_BYTES
                await asyncio.sleep(_MESSAGE_S)
                if recorder.persisted_size > known:
                    known, known_s = recorder.persisted_size, time.monotonic()
                self.longest_ack_s = max(self.longest_ack_s, time.monotonic() - known_s)
            media = await recorder.finish()
        return sent if media is None else sent - recorder.persisted_size

    def _count(self, kind: str, failure: str) -> None:
        self.answers[f"{kind} failed" if failure else kind] += 1
        self.failures += [failure] if failure else []


def rolling(
    recordings: Annotated[int, typer.Option(min=1, help="Recordings at the same time.")] = 200,
) -> None:
    """Restart node after node under load; the exit code is 1 if anybody notices."""
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="rolling-") as name,
        running_cluster(Path(name)) as cluster,
        Progress(console=console, transient=True) as progress,
    ):
        load, lost_bytes = asyncio.run(_roll(cluster, Path(name), recordings, progress))
    table = Table("what", "count")
    for kind, count in sorted(load.answers.items()):
        table.add_row(kind, f"{count:,}")
    table.add_row("recordings", f"{recordings:,}")
    table.add_row("bytes lost", f"{lost_bytes:,}")
    table.add_row("longest time without an answer", f"{load.longest_ack_s:.1f} s")
    console.print(table)
    for failure in load.failures[:5]:
        console.print(failure, style="red", markup=False)
    is_late = load.longest_ack_s > _LONGEST_ACK_S
    raise typer.Exit(1 if load.failures or lost_bytes or is_late else 0)


async def _roll(
    cluster: Cluster, folder: Path, recordings: int, progress: Progress
) -> tuple[_Load, int]:
    load = _Load(cluster)
    task_id = progress.add_task("restarting", total=len(cluster.nodes))
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            Client(cluster.grpc_target, api_key=cluster.api_key)
        )
        await client.create_media(cluster.account_id, Media(id=_MEDIA, name="Music on hold"))
        (folder / "tone.wav").write_bytes(tone())
        await client.upload(cluster.account_id, _MEDIA, folder / "tone.wav")
        token = await client.token()
        asking = [asyncio.ensure_future(load.rest(token)) for _ in range(_LOADS)]
        asking += [asyncio.ensure_future(load.grpc(client)) for _ in range(_LOADS)]
        recording = [
            asyncio.ensure_future(load.record(client, f"call-{number}", folder / "spool"))
            for number in range(recordings)
        ]
        await asyncio.sleep(_CALM_S)
        load.longest_ack_s = 0.0  # the recordings have begun all at once
        for node in cluster.nodes:
            await asyncio.to_thread(node.stop)
            await asyncio.to_thread(node.launch)
            await asyncio.to_thread(wait_until, node.is_ready, "a node is ready again", _START_S)
            await asyncio.sleep(_CALM_S)
            progress.advance(task_id)
        load.ends.set()
        await asyncio.gather(*asking)
        lost_bytes = sum(await asyncio.gather(*recording))
    return load, lost_bytes


if __name__ == "__main__":
    typer.run(rolling)
