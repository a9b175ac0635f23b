"""The processor time of processes."""

from __future__ import annotations

import psutil


def processor_us(pid: int) -> float:
    """Return the processor time that a process has used, in microseconds."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system) * 1e6
