"""Blobs as files: the blocking half of the local store, run in its threads.

`<folder>/<first two hex digits>/<key>` is a published blob, `<key>.part` an unpublished one. Rename
is atomic, so a name without `.part` is always a whole blob. All folders are created and made
durable before the first blob.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from kazoo_media import durable
from kazoo_media.blobs.store import StoredBlob

_KEY = re.compile(r"[0-9a-f]{32}")
_PART = ".part"
_SUBFOLDERS = 256
# writev takes at most this many buffers, usually 1024.
_BUFFERS_AT_ONCE = os.sysconf("SC_IOV_MAX")

_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_WHO_THREAD = 1
_IDLE_CLASS = 3


class BlobFolder:
    """The names and folders of one local store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_ready = False

    def path(self, key: str) -> Path:
        """Return the path of a published blob.

        Raises:
            ValueError: the key is not 32 lower-case hex digits, so it could be a path.
        """
        if _KEY.fullmatch(key) is None:
            raise ValueError(f"not a blob key: {key!r}")
        return self._folder / key[:2] / key

    def part_path(self, key: str) -> Path:
        """Return the path of an unpublished blob."""
        path = self.path(key)
        return path.with_name(path.name + _PART)

    def create(self, key: str) -> int:
        """Return a descriptor of a new, empty, unpublished blob."""
        path = self.part_path(key)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        if not self._is_ready:
            self._make_ready()
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:  # an empty folder was removed
            self._make_ready()
            return os.open(path, flags, 0o600)

    def publish(self, fds: Mapping[str, int]) -> None:
        """Make first the bytes, then the names of blobs durable."""
        durable.publish((fd, self.part_path(key), self.path(key)) for key, fd in fds.items())

    def _make_ready(self) -> None:
        """Create all folders and make them durable; cheaper than one by one."""
        durable.make_folder(self._folder)
        for number in range(_SUBFOLDERS):
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._folder / f"{number:02x}", 0o700)
        # This process, or one that crashed before this line, may have created them.
        durable.sync_folder(self._folder)
        self._is_ready = True

    def remove(self, key: str) -> None:
        """Remove a blob durably if it exists, published or not."""
        found = False
        for path in (self.path(key), self.part_path(key)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
                found = True
        if found:
            # Its row is removed next: a file that came back after a power cut would have none.
            durable.sync_folder(self.path(key).parent)

    def subfolders(self) -> list[str]:
        """Return the names of the folders that hold blobs."""
        try:
            with os.scandir(self._folder) as entries:
                return [each.name for each in entries if each.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []

    def scan(self, subfolder: str) -> list[StoredBlob]:
        """Return the blobs in one of the folders."""
        with os.scandir(self._folder / subfolder) as entries:
            return [blob for each in entries if (blob := _stored_blob(each)) is not None]


def write_all(fd: int, chunks: Sequence[bytes]) -> None:
    """Append all chunks. The kernel may take only a part of them at a time."""
    views = [memoryview(each) for each in chunks if each]
    start = 0
    while start < len(views):
        taken = os.writev(fd, views[start : start + _BUFFERS_AT_ONCE])
        while start < len(views) and taken >= len(views[start]):
            taken -= len(views[start])
            start += 1
        if taken:
            views[start] = views[start][taken:]


def overwrite(fd: int, head: bytes) -> None:
    """Replace the first bytes."""
    done = 0
    while done < len(head):
        done += os.pwrite(fd, head[done:], done)


def open_for_reading(path: Path) -> tuple[int, int]:
    """Return descriptor and size of a file that will be read sequentially."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return fd, os.fstat(fd).st_size


def open_uncached(path: Path) -> tuple[int, int]:
    """Do the same; the bytes come from the disk, not from the kernel's cache."""
    fd, size_bytes = open_for_reading(path)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return fd, size_bytes


def close_uncached(fd: int) -> None:
    """Close a descriptor; what was read of the file leaves the cache for files in use."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def let_others_go_first() -> None:
    """Give the calling thread the idle class of disk access.

    Its CPU priority stays: a slow thread that holds the interpreter's lock would slow the others.
    Source: ioprio_set(2). On other processors, reads are only limited in their rate.
    """
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(number, _WHO_THREAD, 0, _IDLE_CLASS << 13)


def read_exactly(fd: int, offset: int, length: int) -> bytes:
    """Return the bytes of a range.

    Raises:
        EOFError: the file is shorter.
    """
    data = os.pread(fd, length, offset)
    if len(data) == length:
        return data
    parts = [data]
    done = len(data)
    while done < length:
        data = os.pread(fd, length - done, offset + done)
        if not data:
            raise EOFError(f"the blob ends at {offset + done}, not at {offset + length}")
        parts.append(data)
        done += len(data)
    return b"".join(parts)


def _stored_blob(entry: os.DirEntry[str]) -> StoredBlob | None:
    key = entry.name.removesuffix(_PART)
    if _KEY.fullmatch(key) is None:
        return None
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return StoredBlob(key, status.st_size, key == entry.name, status.st_mtime_ns // 1_000_000)
