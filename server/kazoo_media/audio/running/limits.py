"""Environment, limits, CPU usage and killing of a converter process."""

from __future__ import annotations

import os
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path

NICE = 10
"""Niceness: the service itself has priority."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CPU_CLOCK = 2  # CPUCLOCK_SCHED in the clock id of a process: clock_getcpuclockid(3)


def environment(temporary_folder: Path) -> dict[str, str]:
    """Return the whole environment of a converter: SOX_OPTS or a locale would change results."""
    return {"PATH": _PATH, "LC_ALL": "C", "TMPDIR": str(temporary_folder)}


def limit(pid: int, kind: int, soft: int, hard: int) -> None:
    """Set a limit of a process, capped by the service's own limits."""
    highest = resource.prlimit(pid, kind)[1]
    if highest != resource.RLIM_INFINITY:  # the service itself runs under a limit
        hard = highest if hard == resource.RLIM_INFINITY else min(hard, highest)
        soft = min(soft, hard)
    resource.prlimit(pid, kind, (soft, hard))


def limit_cpu(pid: int, cpu_s: int) -> None:
    """Limit the CPU time of a process over its whole life."""
    limit(pid, resource.RLIMIT_CPU, cpu_s, resource.RLIM_INFINITY)


def used_cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used."""
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


def kill_group(pid: int) -> None:
    """Kill a process, which leads its process group, and its children."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
