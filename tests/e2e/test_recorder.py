"""Recorders and their commands against the built product, over a bad network and through kills."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from kazoo_media.client import (
    Client,
    DownloadContentRequest,
    Media,
    RawAudio,
    RawEncoding,
    Recorder,
    RecordingRefusedError,
    UploadSpec,
    appending,
    spooled_uploads,
)
from tests.e2e.shell import Shell
from tests.support.audio_samples import noise
from tests.support.bad_network import BadNetwork
from tests.support.product import Product, wait_until

pytestmark = pytest.mark.e2e

MULAW = RawAudio(encoding=RawEncoding.RAW_ENCODING_MULAW, sample_rate_hertz=8000, channel_count=1)
SPEC = UploadSpec(media=Media(name="Call"), raw=MULAW)
ROUNDS = 2
DOCS = Path(__file__).parents[2] / "docs/recordings.md"


@dataclass(frozen=True)
class Served:
    """A product, and what its clients need to know, read before a loop runs."""

    product: Product
    target: str
    account_id: str
    api_key: str

    def client(self, target: str = "") -> Client:
        return Client(target or self.target, api_key=self.api_key)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Product(tmp_path_factory.mktemp("recorder"), workers="2") as product:
        yield Served(product, product.grpc_target, product.account_id, product.api_key)


@pytest.fixture
def shell(served: Served, tmp_path: Path) -> Shell:
    return Shell(served.product.data_dir, tmp_path)


def audio(name: str, size_bytes: int) -> bytes:
    """Return bytes that are nowhere silence."""
    return bytes(random.Random(name).choices(range(1, 200), k=size_bytes))


async def samples(client: Client, account_id: str, media_id: str) -> bytes:
    request = DownloadContentRequest(account_id=account_id, media_id=media_id)
    async with client.download_stream(request) as download:
        content = b"".join([data async for data in download])
    return content[content.index(b"data") + 8 :]


async def test_nothing_is_lost_over_a_bad_network_and_killed_workers(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "_SILENCE_S", 2.0)
    names = [f"bad-{index}" for index in range(4)]
    sent = {name: audio(name, ROUNDS * 20_000) for name in names}
    account = served.account_id
    with BadNetwork(served.target, seed=7, mean_bytes=80_000) as network:

        async def record(client: Client, name: str) -> str:
            async with client.recorder(account, name, SPEC, tmp_path) as recorder:
                for turn in range(ROUNDS):
                    begin = turn * 20_000
                    for at in range(begin, begin + 20_000, 1000):
                        recorder.write(sent[name][at : at + 1000])
                    await recorder.flush()
                    if name == names[0] and turn % 2:
                        await asyncio.to_thread(served.product.kill_worker)
                media = await recorder.finish()
            assert media is not None
            return media.id

        async with served.client(network.target) as client:
            ids = await asyncio.gather(*(record(client, name) for name in names))
    assert sum(network.ends.values()) > 0
    async with served.client() as client:
        for name, media_id in zip(names, ids, strict=True):
            assert await samples(client, account, media_id) == sent[name]
    assert not await asyncio.to_thread(spooled_uploads, tmp_path)


async def test_a_connection_that_falls_silent_is_replaced(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "_SILENCE_S", 1.5)
    sent = audio("silent", 20_000)
    with BadNetwork(served.target, seed=1, mean_bytes=1 << 40) as network:
        async with (
            served.client(network.target) as client,
            client.recorder(served.account_id, "silent", SPEC, tmp_path) as recorder,
        ):
            recorder.write(sent[:10_000])
            await recorder.flush()
            network.fall_silent()
            recorder.write(sent[10_000:])
            await recorder.flush()
            media = await recorder.finish()
        assert network.ends["stall"] > 0
    assert media is not None
    async with served.client() as client:
        assert await samples(client, served.account_id, media.id) == sent


async def test_every_recorder_that_is_taken_over_while_it_sends_is_told_so(
    served: Served, tmp_path: Path
) -> None:
    names = [f"taken-{index}" for index in range(100)]
    account = served.account_id
    async with served.client() as client:

        def recorder(name: str, folder: str) -> Recorder:
            return client.recorder(account, name, SPEC, tmp_path / folder)

        async def send(old: Recorder) -> str:
            while old.error is None:
                old.write(bytes(1000))
                await asyncio.sleep(0.02)
            assert isinstance(old.error, RecordingRefusedError)
            return old.error.reason

        async def take_over(name: str) -> None:
            async with recorder(name, "new") as new:
                await new.flush()

        async with AsyncExitStack() as stack:
            olds = [await stack.enter_async_context(recorder(name, "old")) for name in names]
            await asyncio.gather(*(old.flush() for old in olds))
            sending = [asyncio.ensure_future(send(old)) for old in olds]
            await asyncio.gather(*map(take_over, names))
            assert await asyncio.gather(*sending) == ["TAKEN_OVER"] * len(names)


def start(shell: Shell, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command whose stdin and stdout are audio."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "kazoo_media", *arguments]
    return subprocess.Popen(
        command, cwd=shell.folder, env=shell.environment, stdin=pipe, stdout=pipe, stderr=pipe
    )


RECORD = ("record", "-", "killed", "--name", "Killed", "--encoding", "mulaw", "--spool", "spool")


def test_a_recorder_killed_and_started_again_goes_on_with_a_gap(
    served: Served, shell: Shell
) -> None:
    before, after = audio("before", 20_000), audio("after", 20_000)
    with start(shell, *RECORD) as first:
        assert first.stdin is not None
        first.stdin.write(before)
        first.stdin.flush()
        wait_until(lambda: _persisted(shell, "killed") == len(before), "the service has it")
        first.kill()
        first.wait()
    assert "killed" in shell.ok("uploads", "list")
    with start(shell, *RECORD) as second:
        out, err = second.communicate(after, timeout=50)
    assert second.returncode == 0, err
    media_id = out.decode().strip()
    shell.ok("download", media_id, "got.wav")
    got = (shell.folder / "got.wav").read_bytes()
    kept = got[got.index(b"data") + 8 :].rstrip(b"\0")
    assert kept.startswith(before)
    assert kept[: kept.index(after) + len(after)].endswith(after)
    gap = kept[len(before) : kept.index(after)]
    assert set(gap) == {0xFF}
    assert len(gap) > 800  # a tenth of a second
    document = json.loads(shell.ok("media", "get", media_id))
    [mark] = document["extra"]["time_line"]
    assert (mark["mark"], mark["offset"]) == ("gap", len(before))
    assert not spooled_uploads(shell.folder / "spool")


def test_ctrl_c_completes_a_recording(shell: Shell) -> None:
    with start(shell, "record", "-", "stopped", "--spool", "spool") as recording:
        assert recording.stdin is not None
        recording.stdin.write(noise(1))
        recording.stdin.flush()
        wait_until(lambda: _persisted(shell, "stopped") > 0, "the service has it")
        recording.send_signal(signal.SIGINT)
        recording.wait(50)  # stdin stays open: the signal alone ends it
        out, err = recording.communicate()
    assert recording.returncode == 0, err
    document = json.loads(shell.ok("media", "get", out.decode().strip()))
    assert document["extra"]["end_reason"] == "stopped"
    assert document["renditions"][0]["duration_ms"] == "1000"


def test_a_refusal_ends_a_recording_at_once(served: Served, shell: Shell) -> None:
    arguments = ("record", "-", "refused", "--spool", "spool", "--name")
    with start(shell, *arguments, "First") as first:
        first.communicate(noise(1), timeout=50)
    with start(shell, *arguments, "Second") as second:
        assert second.stdin is not None
        second.stdin.write(noise(1))
        second.stdin.flush()
        second.wait(20)  # stdin stays open
        _, err = second.communicate()
    assert second.returncode == 1
    [line] = err.decode().splitlines()
    assert "another spec" in line
    assert spooled_uploads(shell.folder / "spool")


def _persisted(shell: Shell, upload_id: str) -> int:
    code, out, _ = shell.run("uploads", "show", upload_id)
    return int(json.loads(out).get("persisted_size", 0)) if code == 0 else 0


def test_a_recording_is_paused_tailed_and_ended_by_commands(served: Served, shell: Shell) -> None:
    async def interrupted() -> None:
        async with served.client() as client:
            account = served.account_id
            async with client.recorder(account, "watched", SPEC, shell.folder) as recorder:
                recorder.write(audio("watched", 8000))
                await recorder.flush()
                masked = await asyncio.to_thread(shell.ok, "uploads", "pause", "watched")
                assert masked == "masked from byte 8000 on\n"
                shown = await asyncio.to_thread(shell.ok, "uploads", "list")
                assert re.search(r"watched +paused +8000 +1000 ", shown)
                recorder.write(audio("secret", 8000))
                await recorder.flush()
                await asyncio.to_thread(shell.ok, "uploads", "resume", "watched")

    asyncio.run(interrupted())
    with start(shell, "tail", "watched") as tail:
        assert tail.stdout is not None
        head = os.read(tail.stdout.fileno(), 44)  # `communicate` would miss what `read` buffers
        assert head.startswith(b"RIFF")
        media_id = shell.ok("uploads", "finish", "watched", "--reason", "gone").strip()
        rest, err = tail.communicate()
    assert tail.returncode == 0, err
    assert (head + rest).endswith(audio("watched", 8000) + b"\xff" * 8000)
    assert json.loads(shell.ok("media", "get", media_id))["extra"]["end_reason"] == "gone"
    assert "watched" not in shell.ok("uploads", "list")
    assert "watched" in shell.ok("uploads", "list", "--all")
    assert "does not exist" in shell.fails("uploads", "show", "nothing")


def test_files_are_sent_through_ctrl_c_and_a_restart_of_the_service(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    names = [f"call-{index}.wav" for index in range(3)]
    for index, name in enumerate(names):
        (folder / name).write_bytes(noise(60 + index))
    with Product(tmp_path) as product:
        shell = Shell(product.data_dir, folder)
        with BadNetwork(product.grpc_target, seed=3, mean_bytes=400_000) as network:
            arguments = ("uploads", "send", *names, "--json", "--target", network.target)
            first = shell.start(*arguments)
            wait_until(lambda: _count(shell, "--all") > 0, "an upload has begun")
            first.send_signal(signal.SIGINT)
            first.communicate()
            second = shell.start(*arguments)
            product.kill()
            product.launch()
            network.calm()
            out, err = second.communicate(timeout=55)
        assert second.returncode == 0, err
        assert json.loads(out)["stored"] == len(names)
        assert json.loads(shell.ok("uploads", "send", *names, "--json"))["stored"] == len(names)
        assert _count(shell, "--all") == len(names)


def _count(shell: Shell, *options: str) -> int:
    return shell.ok("uploads", "list", *options).count("file-")


def test_the_example_of_the_documentation_runs(served: Served, tmp_path: Path) -> None:
    program, *_ = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "var").symlink_to(served.product.data_dir)
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(r"\d{6}-[0-9a-f]{32} 1000\n", ran.stdout)
