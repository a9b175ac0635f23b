"""The files of a blob cache: the blocking half, run in threads.

`<folder>/<first two hex digits>/<key>` is a cached blob, `<key>.part` one that is being fetched. A
file holds the bytes, the CRC32C of each block of them, and their number. So a file that a crash or
the disk has cut or changed is noticed when it is read, and nothing has to be synced.

All processes of a node share the folder. What the files take is counted in `usage`, under a lock: a
file is counted, with its full size, before its first byte is written. A count that is too high,
after a crash or a removal, is put right when files are next evicted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from kazoo_media.blobs.local_files import read_exactly
from kazoo_media.metrics import NO_METRICS, Metrics

BLOCK_BYTES = 256 * 1024
_PART = ".part"
_CRC = struct.Struct(">I")
_FOOTER = struct.Struct(">Q")
_EVICTED_SHARE = 0.1
"""Of the capacity; free after an eviction, so that not every new file needs one."""


class DamagedFileError(Exception):
    """A cached file is not what was written."""


@dataclass(slots=True)
class CachedFile:
    """An open file of the cache.

    Attributes:
        size_bytes: Of the blob.
    """

    fd: int
    size_bytes: int
    checksums: bytes

    def block(self, number: int) -> bytes:
        """Return a block of the blob, compared with its checksum.

        Raises:
            DamagedFileError: it is not what was written, or cannot be read.
        """
        start = number * BLOCK_BYTES
        try:
            data = read_exactly(self.fd, start, min(BLOCK_BYTES, self.size_bytes - start))
        except (OSError, EOFError) as error:
            raise DamagedFileError from error
        if _checksum(data) != self.checksums[number * _CRC.size : (number + 1) * _CRC.size]:
            raise DamagedFileError
        return data

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


class Part:
    """A file that is being written. Its lock keeps others from fetching the same blob."""

    def __init__(self, folder: CacheFolder, fd: int, path: Path, part_path: Path) -> None:
        self._folder = folder
        self._fd = fd
        self._path = path
        self._part_path = part_path
        self._size_bytes = 0
        self._checksums = b""
        self._held = b""

    def reserve(self, size_bytes: int) -> None:
        """Make room for a blob of this size.

        Raises:
            OSError: there is none.
        """
        file_bytes = _file_bytes(size_bytes)
        with self._folder.room_for(file_bytes):
            os.truncate(self._fd, file_bytes)

    def append(self, data: bytes) -> None:
        """Write the next bytes."""
        self._held += data
        while len(self._held) >= BLOCK_BYTES:
            self._write_block()

    def publish(self) -> None:
        """Complete the file and give it its name."""
        if self._held:
            self._write_block()
        os.pwrite(self._fd, self._checksums + _FOOTER.pack(self._size_bytes), self._size_bytes)
        # Not while files are counted: this one would be missed, or counted under both names.
        with self._folder.locked():
            os.rename(self._part_path, self._path)

    def remove(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            os.unlink(self._part_path)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._fd)

    def _write_block(self) -> None:
        block, self._held = self._held[:BLOCK_BYTES], self._held[BLOCK_BYTES:]
        if os.pwrite(self._fd, block, self._size_bytes) != len(block):
            raise OSError("short write")
        self._size_bytes += len(block)
        self._checksums += _checksum(block)


class CacheFolder:
    """The files of one node's cache: together never more than its capacity."""

    def __init__(self, folder: Path, capacity_bytes: int, metrics: Metrics = NO_METRICS) -> None:
        self._metrics = metrics
        self._folder = folder
        self._capacity_bytes = capacity_bytes

    def open(self, key: str) -> CachedFile | None:
        """Return a cached blob, which is now the last to be evicted, or None.

        A file that is damaged is removed.
        """
        try:
            fd = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            found = _opened(fd)
            os.utime(fd)
        except BaseException as error:
            os.close(fd)
            if isinstance(error, DamagedFileError):
                self.remove(key)
                return None
            raise
        return found

    def begin(self, key: str) -> Part | None:
        """Return a file for a blob; None: another process is fetching it or has done so."""
        part_path = self._path(key).with_name(key + _PART)
        self._folder.mkdir(0o700, exist_ok=True)
        part_path.parent.mkdir(0o700, exist_ok=True)
        fd = os.open(part_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            is_ours = self._lock(fd, key, part_path)
        except BaseException:
            os.close(fd)
            raise
        if not is_ours:
            os.close(fd)
            return None
        return Part(self, fd, self._path(key), part_path)

    def remove(self, key: str) -> None:
        """Remove a cached blob, if there is one."""
        with suppress(FileNotFoundError):
            os.unlink(self._path(key))

    def _lock(self, fd: int, key: str, part_path: Path) -> bool:
        """Lock and empty a part; return False if the blob is fetched by another, or was."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # The process that had the lock before may have renamed or removed the file.
        if not _is_at(fd, part_path):
            return False
        if self._path(key).exists():
            os.unlink(part_path)
            return False
        os.truncate(fd, 0)
        return True

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key

    @contextmanager
    def room_for(self, size_bytes: int) -> Iterator[None]:
        """Count a file that gets this size inside the block; evict others if necessary.

        Raises:
            OSError: files that are being written take all the room.
        """
        with self.locked() as fd:
            used = int.from_bytes(os.pread(fd, 8, 0), "big")
            if used + size_bytes > self._capacity_bytes:
                used = self._evict(self._capacity_bytes - size_bytes)
                os.pwrite(fd, used.to_bytes(8, "big"), 0)
                if used + size_bytes > self._capacity_bytes:
                    raise OSError(errno.ENOSPC, "the cache is full")
            yield
            os.pwrite(fd, (used + size_bytes).to_bytes(8, "big"), 0)

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the lock of the count; yield the descriptor of its file."""
        fd = os.open(self._folder / "usage", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)

    def _evict(self, most_bytes: int) -> int:
        """Remove the files that were not read for longest; return what the others take."""
        files = sorted(self._files())
        used = sum(size for _, size, _ in files)
        if used <= most_bytes:
            return used
        target = most_bytes - int(self._capacity_bytes * _EVICTED_SHARE)
        for _, size, path in files:
            if used <= max(0, target):
                break
            if path.suffix != _PART:
                path.unlink(missing_ok=True)
                self._metrics.cache_used("evicted")
            elif not _remove_abandoned(path):
                continue
            used -= size
        return used

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """Yield time of the last use, size and path of all files."""
        for folder in self._folder.iterdir():
            if not folder.is_dir():
                continue
            with os.scandir(folder) as entries:
                for each in entries:
                    with suppress(FileNotFoundError):
                        found = each.stat(follow_symlinks=False)
                        yield found.st_mtime_ns, found.st_size, Path(each.path)


def _opened(fd: int) -> CachedFile:
    file_bytes = os.fstat(fd).st_size
    try:
        (size_bytes,) = _FOOTER.unpack(read_exactly(fd, file_bytes - _FOOTER.size, _FOOTER.size))
        if _file_bytes(size_bytes) != file_bytes:
            raise DamagedFileError
        length = file_bytes - size_bytes - _FOOTER.size
        return CachedFile(fd, size_bytes, read_exactly(fd, size_bytes, length))
    except (OSError, EOFError) as error:
        raise DamagedFileError from error


def _file_bytes(size_bytes: int) -> int:
    blocks = -(-size_bytes // BLOCK_BYTES)
    return size_bytes + blocks * _CRC.size + _FOOTER.size


def _checksum(data: bytes) -> bytes:
    return _CRC.pack(google_crc32c.value(data))


def _is_at(fd: int, path: Path) -> bool:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), found)


def _remove_abandoned(path: Path) -> bool:
    """Remove a part unless a process is writing it; return whether it is gone."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except BlockingIOError:
        return False
    except FileNotFoundError:
        pass
    return True
