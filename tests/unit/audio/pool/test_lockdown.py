"""What a converter may not do."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

from kazoo_media.audio.jobs import ENVIRONMENT
from tests.unit.audio.pool.pool_runs import PoolUnderTest, until

_OPENS_A_FILE = """
from kazoo_media.audio.pool.lockdown import lock_down
print(lock_down())
try:
    open("/etc/passwd")
    print("opened")
except PermissionError:
    print("denied")
"""


def test_where_the_kernel_can_no_file_can_be_opened_any_more() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _OPENS_A_FILE], capture_output=True, check=True, text=True
    )
    assert run.stdout.split() in (["True", "denied"], ["False", "opened"])


def _opened(pid: int) -> list[str]:
    folder = f"/proc/{pid}/fd"
    return [os.readlink(f"{folder}/{each}") for each in sorted(os.listdir(folder), key=int)]


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


async def test_a_converter_is_confined(pool: PoolUnderTest) -> None:
    await pool.convert()
    held = await pool.begin()
    [process] = pool.processes()

    status = _status(process.pid)
    assert status["NoNewPrivs"] == "1"
    assert status["Threads"] == "1"
    assert process.nice() == 10
    assert os.getpgid(process.pid) == process.pid
    assert os.getsid(process.pid) != os.getsid(0)
    limits = {
        name: resource.prlimit(process.pid, getattr(resource, f"RLIMIT_{name}"))
        for name in ("CORE", "NOFILE", "FSIZE", "NPROC", "AS", "CPU")
    }
    assert limits["CORE"] == limits["NPROC"] == (0, 0)
    assert limits["NOFILE"][1] <= 64
    assert limits["FSIZE"][1] <= 1 << 30
    assert limits["AS"][1] < 1 << 30
    assert 60 <= limits["CPU"][0] < 80
    assert set(process.environ()) <= {"PATH", "LC_ALL", "TMPDIR", *ENVIRONMENT}
    await held.conversion.kill()


async def test_a_converter_has_no_descriptor_but_its_pipes(pool: PoolUnderTest) -> None:
    held = [await pool.begin() for _ in range(2)]
    processes = pool.processes()
    await until(lambda: all(len(_opened(each.pid)) == 6 for each in processes))
    for process in processes:
        *null, channel, source, sink = _opened(process.pid)
        assert null == ["/dev/null"] * 3
        kinds = [each.partition(":")[0] for each in (channel, source, sink)]
        assert kinds == ["socket", "pipe", "pipe"]

    for each in held:
        await each.conversion.kill()
