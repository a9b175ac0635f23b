"""What is the local store's own: files, modes, names, faults of a disk."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import stat
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.local_files import (
    BlobFolder,
    let_others_go_first,
    read_exactly,
    write_all,
)
from kazoo_media.blobs.store import READ_CHUNK_BYTES
from kazoo_media.errors import StorageFullError, StoreUnavailableError
from tests.contract.blob_store import MIB, content, names, noise, stored, written
from tests.support.counted import Counted

KEY = "0f" * 16
LARGE = noise(MIB)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "blobs"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[LocalBlobStore]:
    store = LocalBlobStore(folder)
    yield store
    await store.aclose()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_blob_is_a_private_file_named_by_its_key(
    store: LocalBlobStore, folder: Path
) -> None:
    old_mask = os.umask(0)
    try:
        writer = await written(store, KEY, LARGE)
        assert (folder / "0f" / f"{KEY}.part").read_bytes() == LARGE
        await store.publish([writer])
    finally:
        os.umask(old_mask)
    path = folder / "0f" / KEY
    assert path.read_bytes() == LARGE
    assert os.listdir(path.parent) == [KEY]
    assert [_mode(each) for each in (path, path.parent, folder)] == [0o600, 0o700, 0o700]


@pytest.mark.parametrize(
    "key", ["", "../../etc/passwd", "0f/" + "0" * 29, "0F" * 16, "0f" * 15, "0f" * 17, KEY + "\n"]
)
async def test_what_could_be_a_path_is_no_key(store: LocalBlobStore, key: str) -> None:
    attempts = (store.create(key), store.open(key), store.delete(key))
    for attempt in attempts:
        with pytest.raises(ValueError, match="not a blob key"):
            await attempt


async def test_a_new_store_on_the_same_folder_has_the_blobs(
    store: LocalBlobStore, folder: Path
) -> None:
    key = await stored(store, b"abc")
    again = LocalBlobStore(folder)
    assert await content(again, key) == b"abc"
    await again.aclose()


async def test_foreign_files_are_not_listed(store: LocalBlobStore, folder: Path) -> None:
    key = await stored(store, b"abc")
    for name in ("lost+found", f"{key[:2]}/README", f"{key[:2]}/{key}.bak"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert await names(store) == {(key, True)}


async def test_a_key_that_is_being_written_is_not_written_twice(store: LocalBlobStore) -> None:
    writer = await written(store, KEY, LARGE)
    other = await written(store, KEY, b"second")
    with pytest.raises(StoreUnavailableError):
        await store.publish([other])
    await other.discard()
    await store.publish([writer])
    assert await content(store, KEY) == LARGE


async def _receive(chunks: AsyncIterator[bytes], received: list[bytes]) -> None:
    while True:
        received.append(await anext(chunks))


@pytest.mark.parametrize("kept", [0, 1, READ_CHUNK_BYTES, READ_CHUNK_BYTES + 5])
async def test_a_file_that_lost_its_end_is_an_error_not_a_short_read(
    store: LocalBlobStore, folder: Path, kept: int
) -> None:
    data = noise(2 * READ_CHUNK_BYTES)
    key = await stored(store, data)
    reader = await store.open(key)
    assert reader is not None
    os.truncate(folder / key[:2] / key, kept)
    received: list[bytes] = []

    async with reader:
        with pytest.raises(StoreUnavailableError):
            await _receive(reader.read(0, len(data)), received)
    assert data[:kept].startswith(b"".join(received))


async def test_no_descriptor_stays_open(store: LocalBlobStore) -> None:
    key = await stored(store, noise(2 * READ_CHUNK_BYTES))
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        await content(store, key)
        await stored(store, b"x")
        await stored(store, LARGE)
        for data in (b"x", LARGE):
            writer = await written(store, KEY, data)
            await writer.discard()
        assert await store.open("f" * 32) is None
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
        (errno.EIO, StoreUnavailableError),
    ],
)
@pytest.mark.parametrize("call", ["writev", "fsync", "rename"])
@pytest.mark.parametrize("data", [b"abc", LARGE], ids=["small", "large"])
async def test_a_failing_disk_publishes_nothing_and_keeps_nothing(
    store: LocalBlobStore,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    expected: type[Exception],
    data: bytes,
) -> None:
    writer = await store.create(KEY)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    async def write() -> None:
        await writer.write([data])
        await store.publish([writer])

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(expected):
            await write()
    await writer.discard()
    assert await store.open(KEY) is None
    assert await names(store) == set()


async def test_a_name_that_may_not_last_is_taken_back(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def fail_on_folders(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, "I/O error")
        fsync(fd)

    writers = [await written(store, KEY, LARGE), await written(store, "1f" * 16, b"abc")]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_on_folders)
        with pytest.raises(StoreUnavailableError):
            await store.publish(writers)
    assert await names(store) == set()
    for writer in writers:
        await writer.discard()
    assert await names(store) == set()


async def test_when_one_of_several_gets_no_name_none_is_there(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def fail_on_the_second(source: Path, target: Path) -> None:
        if target.name != KEY:
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    writers = [await written(store, KEY, b"abc"), await written(store, "1f" * 16, LARGE)]
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail_on_the_second)
        with pytest.raises(StorageFullError):
            await store.publish(writers)
    assert await names(store) == set()


def test_all_bytes_are_written_when_the_kernel_takes_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writev = os.writev

    def take_seven(fd: int, views: Sequence[memoryview]) -> int:
        return writev(fd, [b"".join(views)[:7]])

    monkeypatch.setattr(os, "writev", take_seven)
    data = noise(100)
    chunks = [data[:5], b"", data[5:12], data[12:13], data[13:60], data[60:]]
    fd = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    write_all(fd, chunks)
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == data


def test_all_bytes_are_read_when_the_kernel_gives_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, at: pread(fd, min(length, 7), at))
    (tmp_path / "file").write_bytes(b"0123456789" * 5)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    assert read_exactly(fd, 3, 40) == (b"0123456789" * 5)[3:43]
    with pytest.raises(EOFError):
        read_exactly(fd, 3, 48)
    os.close(fd)


def test_a_folder_that_never_held_a_blob_has_no_subfolders(tmp_path: Path) -> None:
    assert BlobFolder(tmp_path / "missing").subfolders() == []


def _clear_away_empty_folders(folder: Path) -> None:
    for each in folder.iterdir():
        if not any(each.iterdir()):
            each.rmdir()


async def test_a_folder_that_was_cleared_away_is_made_again(
    store: LocalBlobStore, folder: Path
) -> None:
    await stored(store, b"abc")
    await asyncio.to_thread(_clear_away_empty_folders, folder)
    await store.publish([await written(store, KEY, b"def")])
    assert await content(store, KEY) == b"def"


async def test_publications_and_failures_are_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Counted()
    store = LocalBlobStore(folder, metrics)
    await stored(store, b"abc")
    assert metrics.value("fsync_seconds_count") == 1
    assert metrics.value("store_seconds_count", store="blobs", operation="publish") == 1

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFullError):
        await stored(store, b"abc")
    reason = StorageFullError.reason
    assert (
        metrics.value("store_errors_total", store="blobs", operation="publish", reason=reason) == 1
    )
    await store.aclose()


def test_only_the_background_has_the_idle_class_of_disk_access() -> None:
    def background() -> int:
        let_others_go_first()
        return int(psutil.Process(threading.get_native_id()).ionice().ioclass)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(background).result() == psutil.IOPRIO_CLASS_IDLE
    assert psutil.Process().ionice().ioclass != psutil.IOPRIO_CLASS_IDLE


async def test_the_error_of_a_cancelled_write_is_not_logged(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_fail = threading.Event(), threading.Event()

    def fail(*_: object) -> None:
        begun.set()
        may_fail.wait(20)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("kazoo_media.blobs.local.write_all", fail)
    loop = asyncio.get_running_loop()
    logged: list[object] = []
    loop.set_exception_handler(lambda _, context: logged.append(context))
    writer = await store.create(KEY)
    writing = loop.create_task(writer.write([LARGE]))
    await asyncio.to_thread(begun.wait, 20)
    writing.cancel()
    may_fail.set()
    await asyncio.wait({writing})
    del writing
    gc.collect()
    loop.set_exception_handler(None)
    assert logged == []
