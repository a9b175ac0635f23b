"""Environment, limits, CPU usage and killing of a converter process."""

from __future__ import annotations

import os
import resource
import signal
import time
from contextlib import suppress

NICE = 10
"""Niceness: the service itself has priority."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CPU_CLOCK = 2  # CPUCLOCK_SCHED in the clock id of a process: clock_getcpuclockid(3)


def environment(temporary_folder: str) -> dict[str, str]:
    """Return the whole environment of a converter: SOX_OPTS or a locale would change results."""
    return {"PATH": PATH, "LC_ALL": "C", "TMPDIR": temporary_folder}


def capped(kind: int, soft: int, hard: int) -> tuple[int, int]:
    """Return a soft and a hard limit that the service's own limits permit for a child."""
    highest = resource.getrlimit(kind)[1]
    if highest != resource.RLIM_INFINITY:
        hard = highest if hard == resource.RLIM_INFINITY else min(hard, highest)
        soft = min(soft, hard)
    return soft, hard


def cpu_limit(cpu_s: int) -> tuple[int, int]:
    """Return the limits for a CPU time over a whole life; the soft one can be raised later."""
    return capped(resource.RLIMIT_CPU, cpu_s, resource.RLIM_INFINITY)


def limit_cpu(pid: int, cpu_s: int) -> None:
    """Limit the CPU time of a process over its whole life."""
    resource.prlimit(pid, resource.RLIMIT_CPU, cpu_limit(cpu_s))


def used_cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used."""
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


def kill_group(pid: int) -> None:
    """Kill a process, which leads its process group, and its children."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
