"""What is left after kill -9, a power cut and a full disk."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.model import BlobState, MediaQuery
from kazoo_media.upkeep.fsck import check
from kazoo_media.upkeep.sweeper import Sweeper
from tests.contract.blob_store import content

PROGRAMS = Path(__file__).parent / "programs"
KILLS = 8


def _upload_until_killed(folder: Path) -> dict[str, int]:
    """Return the last acknowledged number of each media."""
    with subprocess.Popen(
        [sys.executable, PROGRAMS / "upload_forever.py", folder], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(random.uniform(0.01, 0.4))
        process.kill()
        lines = (first + process.stdout.read()).decode().splitlines()
    assert lines, "the program was killed before its first upload"
    return {media_id: int(number) for media_id, number in (line.split() for line in lines)}


async def test_a_kill_loses_no_acknowledged_upload_and_leaves_no_torn_one(tmp_path: Path) -> None:
    acknowledged: dict[str, int] = {}
    for _ in range(KILLS):
        acknowledged |= _upload_until_killed(tmp_path)
    metadata = await SqliteMetadataStore.open(tmp_path / "m.sqlite", shared=False)
    blobs = LocalBlobStore(tmp_path / "blobs")
    found = {each.id: each for each in await metadata.list_media("a" * 32, MediaQuery(10**6))}
    assert found.keys() >= acknowledged.keys()
    for media in found.values():
        assert media.document["number"] >= acknowledged.get(media.id, 0)
        assert (media.content is None) == (media.document["number"] == 0)
        for rendition in media.content.renditions if media.content else ():
            data = await content(blobs, rendition.blob_key)
            assert len(data) == rendition.size_bytes
            assert hashlib.sha256(data).hexdigest() == rendition.sha256

    sweeper = Sweeper(
        metadata,
        blobs,
        pending_grace_ms=0,
        dead_grace_ms=0,
        clock=itertools.count(10**13).__next__,
    )
    await sweeper.sweep()
    await sweeper.sweep()  # what expired in the first is due in the second
    rows = await metadata.list_blobs("", 10**6)
    assert {each.state for each in rows} == {BlobState.LIVE}
    listed = [each async for each in blobs.list()]
    assert all(each.published for each in listed)
    assert {each.key for each in listed} == {each.key for each in rows}
    report = await check(metadata, blobs, read_digests=True, progress=lambda _: None)
    assert report.findings == ()
    await blobs.aclose()
    await metadata.aclose()


@pytest.fixture
def traced_calls(tmp_path: Path) -> list[str]:
    """Return the calls that matter to a power cut, in their order, as `name(path)`."""
    if shutil.which("strace") is None:
        pytest.fail("strace is missing: `make setup` installs it")
    log = tmp_path / "strace.log"
    folder = tmp_path / "data"
    folder.mkdir()
    subprocess.run(
        [
            *("strace", "-f", "-y", "-s", "64", "-o", log),
            *("-e", "trace=write,writev,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink"),
            *(sys.executable, PROGRAMS / "write_once.py", folder),
        ],
        check=True,
        capture_output=True,
        timeout=50,
    )
    calls = []
    for line in log.read_text().splitlines():
        found = re.search(r"\b(\w+)\((.*)", line)
        if found is None:
            continue
        name, rest = found.groups()
        path = re.search(re.escape(str(folder)) + r'([^>"]*)', rest)
        if path is not None:
            calls.append(f"{name}({path[1].lstrip('/')})")
        elif "acknowledged" in rest:
            calls.append("acknowledged")
    return calls


def test_a_blob_is_durable_before_its_name_and_its_name_before_the_answer(
    traced_calls: list[str],
) -> None:
    calls = [each for each in traced_calls if "(blobs" in each or each == "fsync()"]
    assert calls[: calls.index(f"writev(blobs/ef/{'ef' * 16}.part)")] == [
        "fsync()",
        "fsync(blobs)",
        *(
            call
            for folder in ("ab", "cd")
            for call in (
                f"writev(blobs/{folder}/{folder * 16}.part)",
                f"fsync(blobs/{folder}/{folder * 16}.part)",
                f"rename(blobs/{folder}/{folder * 16}.part)",
                f"fsync(blobs/{folder})",
            )
        ),
    ]


def test_blobs_that_are_published_together_share_what_makes_their_names_durable(
    traced_calls: list[str],
) -> None:
    calls = [each for each in traced_calls if "(blobs/ef" in each]
    keys = ("ef" * 16, "ef" + "01" * 15)
    assert calls == [
        *(f"writev(blobs/ef/{key}.part)" for key in keys),
        *(f"{call}(blobs/ef/{key}.part)" for key in keys for call in ("fsync", "rename")),
        "fsync(blobs/ef)",
    ]


def test_a_deletion_is_durable_before_the_next_step(traced_calls: list[str]) -> None:
    calls = [each for each in traced_calls if "(blobs" in each]
    assert calls[calls.index(f"unlink(blobs/ab/{'ab' * 16})") :] == [
        call
        for folder in ("ab", "cd")
        for call in (
            f"unlink(blobs/{folder}/{folder * 16})",
            f"unlink(blobs/{folder}/{folder * 16}.part)",
            f"fsync(blobs/{folder})",
        )
    ]


def test_a_metadata_write_is_durable_before_it_is_acknowledged(traced_calls: list[str]) -> None:
    log = [each for each in traced_calls if "(m.sqlite-wal)" in each or each == "acknowledged"]
    assert log.count("acknowledged") == 5
    since_answer: list[str] = []
    for call in log:
        if call == "acknowledged":
            assert since_answer[-1] in ("fsync(m.sqlite-wal)", "fdatasync(m.sqlite-wal)")
            assert "pwrite64(m.sqlite-wal)" in since_answer
            since_answer = []
        else:
            since_answer.append(call)


def _on_a_small_disk(folder: Path, *command: str | Path) -> list[str | Path] | None:
    """Return the command in a namespace where the folder is a disk of 16 MiB, None if refused."""
    mount = 'mount -t tmpfs -o size=16m none "$0" && exec "$@"'
    # -r: who is not root becomes it in a user namespace.
    for options in ("-m", "-rm"):
        prefix: list[str | Path] = ["unshare", options, "sh", "-c", mount, folder]
        if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0:
            return [*prefix, *command]
    return None


@pytest.mark.parametrize("store", ["blobs", "metadata"])
def test_a_full_disk_is_refused_and_recovers_when_there_is_space(
    store: str, tmp_path: Path
) -> None:
    program = (sys.executable, PROGRAMS / "fill_disk.py", store, tmp_path)
    if shutil.which("unshare") is None or (command := _on_a_small_disk(tmp_path, *program)) is None:
        pytest.skip("no permission to mount a small disk in a namespace")
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
