"""Permits this process and its forks only the system calls that conversion needs.

Any other call fails with ENOSYS, as on a kernel that does not have it: the C library then does
without, and a new kernel's calls are refused like sockets and execve.

Source: seccomp(2); the names are those of libseccomp, which knows the numbers of each architecture.
"""

from __future__ import annotations

import errno
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pyseccomp import SyscallFilter

# fmt: off
_CONVERTER = (
    "read", "readv", "pread64", "preadv", "write", "writev", "pwrite64", "pwritev", "lseek",
    "_llseek", "recvmsg", "sendmsg", "close", "dup", "dup2", "dup3", "fcntl", "fcntl64", "pipe",
    "pipe2", "poll", "ppoll", "select", "pselect6", "fstat", "fstat64", "newfstatat", "statx",
    "ftruncate", "ftruncate64", "fallocate",
    "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise",
    "futex", "sched_yield", "sched_getaffinity", "getcpu", "set_robust_list", "rseq", "membarrier",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "sigaltstack",
    "restart_syscall",
    "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getrusage", "uname",
    "sysinfo", "times", "getrandom", "clock_gettime", "clock_getres", "clock_nanosleep",
    "nanosleep", "gettimeofday", "time", "exit", "exit_group",
)
_ZYGOTE = (
    *_CONVERTER,
    "clone", "fork", "vfork", "wait4", "waitid", "kill", "setpgid", "getpriority", "setpriority",
    "prctl", "prlimit64", "getrlimit", "ugetrlimit", "setrlimit", "seccomp", "getsockname",
    "getsockopt",
)
# fmt: on
# Python asks for these when it opens a descriptor; no other request of ioctl is permitted.
_REQUESTS = (termios.FIOCLEX, termios.FIONCLEX, termios.FIONBIO, termios.TCGETS)


@dataclass(frozen=True, slots=True)
class SystemCalls:
    """Filters that are not in force before they are loaded.

    Attributes:
        of_zygote: Permits what forks and reaps converters, and what a converter needs.
        of_converter: Permits what a converter needs.
    """

    of_zygote: SyscallFilter
    of_converter: SyscallFilter

    @classmethod
    def prepare(cls) -> Self | None:
        """Return the filters, or None if libseccomp is not installed; opens files."""
        try:
            return cls(_permitting(_ZYGOTE), _permitting(_CONVERTER))
        except (ImportError, RuntimeError):
            return None


def _permitting(names: tuple[str, ...]) -> SyscallFilter:
    """Return a filter that permits these calls.

    Raises:
        RuntimeError: libseccomp is not installed.
    """
    import pyseccomp  # noqa: PLC0415 - it needs libseccomp

    permitted = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.ENOSYS))
    for name in names:
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
        if number != -1:  # otherwise libseccomp is older than the call
            permitted.add_rule(pyseccomp.ALLOW, number)
    for request in _REQUESTS:
        argument = pyseccomp.Arg(1, pyseccomp.EQ, request)
        permitted.add_rule(pyseccomp.ALLOW, "ioctl", argument)
    return permitted
