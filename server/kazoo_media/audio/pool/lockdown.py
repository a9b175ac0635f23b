"""Restricts this process and its forks to what conversion needs.

Source: prctl(2), landlock(7); numbers from <linux/prctl.h> and <linux/landlock.h>.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.pool.system_calls import SystemCalls
from kazoo_media.audio.running.limits import NICE

if TYPE_CHECKING:
    from pyseccomp import SyscallFilter

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET = 444  # the same on every architecture
_RESTRICT_SELF = 446
_ASK_VERSION = 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Number of file rights by version of landlock; later versions have as many as version 5."""
_TCP_RIGHTS, _SCOPES = 0b11, 0b11

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Lockdown:
    """The restrictions that are in force.

    Attributes:
        files: Whether landlock forbids opening files, TCP connections and signals to other
            processes.
        calls: The filters of system calls; None if this system cannot restrict them.
    """

    files: bool
    calls: SystemCalls | None

    @property
    def missing(self) -> list[str]:
        """Return the names of the restrictions that this system does not offer."""
        offered = {"landlock": self.files, "seccomp": self.calls}
        return [name for name, is_in_force in offered.items() if not is_in_force]


def lock_down() -> Lockdown:
    """Restrict the process: its files, its system calls and, in any case, its resources."""
    limits = ConversionLimits()
    with open("/proc/self/statm", encoding="ascii") as statm:
        address_space = int(statm.read().split()[0]) * resource.getpagesize()
    for kind, value in (
        (resource.RLIMIT_AS, address_space + limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.spool_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        _lower(kind, value)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    calls = SystemCalls.prepare()  # before landlock, which keeps it from opening libseccomp
    return Lockdown(_close_off(), calls if calls and _load(calls.of_zygote) else None)


def become_converter(parent: int, lockdown: Lockdown) -> None:
    """Turn a fork into a converter.

    It leads a process group, has low priority, cannot fork, and is killed when its parent ends.
    """
    os.setpgid(0, 0)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before prctl was called
        os._exit(0)
    os.nice(NICE)
    _lower(resource.RLIMIT_NPROC, 0)  # which does not count for root
    if lockdown.calls is not None:
        lockdown.calls.of_converter.load()


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (least, least))


def _load(calls: SyscallFilter) -> bool:
    """Put a filter in force; return False if the kernel cannot."""
    try:
        calls.load()
    except OSError:
        return False
    return True


def _close_off() -> bool:
    version = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    if version < 1:
        return False
    file_rights = (1 << _FILE_RIGHTS.get(version, _FILE_RIGHTS[5])) - 1
    attributes = struct.pack("Q", file_rights)
    if version >= 4:
        attributes += struct.pack("Q", _TCP_RIGHTS)
    if version >= 6:
        attributes += struct.pack("Q", _SCOPES)
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    # No rule is added: everything handled is denied.
    denied = bool(_libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    os.close(ruleset)
    return denied
