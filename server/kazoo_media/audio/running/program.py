"""A program to run, and what it may use."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.running.limits import PATH, capped, cpu_limit


@dataclass(frozen=True, slots=True)
class Program:
    """A program, its arguments and limits.

    Attributes:
        argv: Name or path, and arguments; no shell is involved.
        limits: CPU, memory and open files.
        spool_bytes: Size of the largest file it may write.
        ends_with_pipes: Whether it is known to end when its pipes close.
    """

    argv: Sequence[str]
    limits: ConversionLimits
    spool_bytes: int = 0
    ends_with_pipes: bool = True

    def command(self, folder: Path) -> list[str]:
        """Return the arguments with the program's absolute path.

        Args:
            folder: A relative path starts there.

        Raises:
            OSError: there is no such program.
        """
        name = self.argv[0]
        path = str(folder / name) if os.sep in name else name
        found = shutil.which(path, path=PATH)
        if found is None:
            code = errno.EACCES if os.path.exists(path) else errno.ENOENT
            raise OSError(code, os.strerror(code), name)
        return [found, *self.argv[1:]]

    def resources(self) -> dict[int, tuple[int, int]]:
        """Return its soft and hard limits by the numbers of `resource`."""
        most = {
            resource.RLIMIT_AS: self.limits.memory_bytes,
            resource.RLIMIT_FSIZE: self.spool_bytes,
            resource.RLIMIT_NOFILE: self.limits.open_files,
            resource.RLIMIT_CORE: 0,
        }
        limits = {kind: capped(kind, value, value) for kind, value in most.items()}
        return {resource.RLIMIT_CPU: cpu_limit(self.limits.cpu_s), **limits}
