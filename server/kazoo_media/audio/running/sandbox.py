"""Namespaces for the programs of a worker: no network, no data folder, a read-only system.

Theory of operation:

1. bwrap makes the namespaces once, and ends when the worker closes its input or is killed. The
   kernel then kills every process in them.
2. A program enters them by nsenter, which costs a third of making them. nsenter starts it as a
   child in the process namespace and ends as it ends, so the worker watches nsenter, and kills both
   as one process group.
3. bwrap ends up in a user namespace of its own below the one that owns the others, because that
   keeps programs from making more (`--disable-userns`). Programs enter the one that owns them: an
   ordinary user has no right to enter the others from the lower one.
4. prlimit comes first: the program inherits limits that are in force before it starts.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from kazoo_media.audio.running.limits import PATH

INSIDE = "/tmp"  # noqa: S108 - the sandbox has its own
"""Folder for temporary files, as the programs see it."""

_NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup")
_NS_GET_USERNS = 0xB701  # <linux/nsfs.h>
_DEVICES = ("null", "zero", "full", "random", "urandom")
# Sockets lie there; a network namespace does not keep a program from a socket with a path.
_RUNTIME_FOLDERS = ("/run", "/var/tmp")  # noqa: S108 - they are hidden
_NOBODY = "65534"  # with its own id root would have all capabilities inside
_LIMITS = {
    resource.RLIMIT_CPU: "cpu",
    resource.RLIMIT_AS: "as",
    resource.RLIMIT_FSIZE: "fsize",
    resource.RLIMIT_NOFILE: "nofile",
    resource.RLIMIT_CORE: "core",
}
_WAIT = ("sh", "-c", "echo ready; exec cat >/dev/null")
_START_S = 10.0


class Sandbox:
    """The namespaces; to be closed."""

    def __init__(
        self, bwrap: subprocess.Popen[bytes], programs: tuple[str, str], folder: Path
    ) -> None:
        self._bwrap = bwrap
        self._prlimit, self._nsenter = programs
        self._folder = folder
        self._first = 0
        self._descriptors: list[int] = []

    @classmethod
    def open(cls, folder: Path, hidden: Path) -> Self:
        """Return the namespaces, which were tried; blocks.

        Args:
            folder: A new folder in it is for the temporary files of programs.
            hidden: The data folder, which programs do not see.

        Raises:
            OSError: this system does not permit or have what is needed; the text says what.
        """
        prlimit, nsenter, bubblewrap = (_found(name) for name in ("prlimit", "nsenter", "bwrap"))
        own = Path(tempfile.mkdtemp(prefix="programs-", dir=folder.resolve()))
        reader, writer = os.pipe()
        with open(reader, "rb") as information:
            bwrap = subprocess.Popen(
                [bubblewrap, *_options(own, hidden.resolve()), "--info-fd", str(writer), *_WAIT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(writer,),
                env={"PATH": PATH},
            )
            os.close(writer)
            sandbox = cls(bwrap, (prlimit, nsenter), own)
            answer = information.read()
        try:
            sandbox._hold(json.loads(answer)["child-pid"])
            sandbox._try()
        except (ValueError, OSError, subprocess.SubprocessError) as error:
            said, code = sandbox.close(), bwrap.returncode
            reason = f"bwrap ended with exit status {code}" if code else str(error)
            raise OSError(said or reason) from error
        return sandbox

    def command(
        self, command: Sequence[str], resources: Mapping[int, tuple[int, int]]
    ) -> list[str]:
        """Return a command that runs another one inside.

        Args:
            resources: Soft and hard limits by the numbers of `resource`.
        """
        limits = (f"--{_LIMITS[kind]}={_text(*both)}" for kind, both in resources.items())
        owner = f"/proc/{os.getpid()}/fd/{self._descriptors[-1]}"
        entering = (f"--target={self._first}", f"--user={owner}", *_NAMESPACES)
        inside = ("--preserve-credentials", f"--wdns={INSIDE}")
        return [self._prlimit, *limits, self._nsenter, *entering, *inside, *command]

    def is_running(self) -> bool:
        """Return whether programs can be started in it."""
        return self._bwrap.poll() is None

    def close(self) -> str:
        """Kill all that runs inside, and return what bwrap complained of; blocks."""
        _, complaints = self._bwrap.communicate()
        if self._descriptors:
            # bwrap does not wait for the first process, which ends after all others.
            ended = select.poll()
            ended.register(self._descriptors[0], select.POLLIN)
            ended.poll()
        while self._descriptors:
            os.close(self._descriptors.pop())
        shutil.rmtree(self._folder, ignore_errors=True)
        return complaints.decode("utf-8", "replace").strip()

    def _hold(self, first: int) -> None:
        """Keep the first process and the user namespace that owns its namespaces."""
        self._first = first
        self._descriptors.append(os.pidfd_open(first))
        if self._bwrap.stdout is not None:
            self._bwrap.stdout.readline()  # the mounts are complete
        with open(f"/proc/{first}/ns/mnt", "rb") as mounts:
            self._descriptors.append(fcntl.ioctl(mounts, _NS_GET_USERNS))

    def _try(self) -> None:
        command = self.command(["/bin/true"], {resource.RLIMIT_CORE: (0, 0)})
        tried = subprocess.run(command, capture_output=True, timeout=_START_S, check=False)
        if tried.returncode:
            raise OSError(tried.stderr.decode("utf-8", "replace").strip())


def programs_inside(pid: int) -> list[int]:
    """Return the program that an nsenter has started; empty if it has not started it yet."""
    try:
        # The kernel answers at once: not a blocking read.
        descriptor = os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        return [int(each) for each in os.read(descriptor, 4096).split()]
    finally:
        os.close(descriptor)


def _found(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise OSError(f"{name} is not installed")
    return found


def _options(folder: Path, hidden: Path) -> list[str]:
    runtime = [*filter(os.path.isdir, _RUNTIME_FOLDERS)]
    masked = [*runtime] if _is_in(hidden, [INSIDE, *runtime]) else [*runtime, str(hidden)]
    # The service may be installed below a folder that is masked.
    own = sorted({sys.prefix, sys.base_prefix, str(Path(__file__).parents[2])})
    return [
        *("--unshare-all", "--unshare-user", "--disable-userns", "--uid", _NOBODY),
        *("--gid", _NOBODY, "--new-session", "--ro-bind", "/", "/", "--tmpfs", "/dev"),
        *(word for each in _DEVICES for word in ("--dev-bind", f"/dev/{each}", f"/dev/{each}")),
        *("--symlink", "/proc/self/fd", "/dev/fd", "--symlink", "fd/1", "/dev/stdout"),
        *("--symlink", "fd/0", "/dev/stdin", "--symlink", "fd/2", "/dev/stderr"),
        *("--proc", "/proc", "--bind", str(folder), INSIDE),
        *_shown(own, [INSIDE]),
        *(word for mask in masked for word in ("--tmpfs", mask, *_shown(own, [mask]))),
        *(word for mask in ("/dev", *masked) for word in ("--remount-ro", mask)),
    ]


def _shown(paths: Sequence[str], masked: Sequence[str]) -> list[str]:
    return [word for each in paths if _is_in(each, masked) for word in ("--ro-bind", each, each)]


def _is_in(path: str | Path, folders: Sequence[str]) -> bool:
    return any(Path(path).is_relative_to(each) for each in folders)


def _text(soft: int, hard: int) -> str:
    return ":".join("unlimited" if n == resource.RLIM_INFINITY else str(n) for n in (soft, hard))
