"""What a program in the sandbox cannot reach, and what happens where there is no sandbox."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.running.process import ConverterProcess
from kazoo_media.audio.running.program import Program
from kazoo_media.audio.running.sandbox import Sandbox
from tests.support.product import is_alive, wait_until

_LIMITS = ConversionLimits()


def _problem(folder: Path) -> str | None:
    try:
        Sandbox.open(folder, folder).close()
    except OSError as error:
        return str(error)
    return None


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "signing-key.pem").write_text("secret")
    return tmp_path


@pytest.fixture
def confinement(data_dir: Path) -> Iterator[Confinement]:
    problem = _problem(data_dir / "tmp")
    if problem is not None:
        pytest.skip(f"no sandbox on this machine: {problem}")
    confinement = Confinement.by_sandbox(data_dir / "tmp", data_dir)
    yield confinement
    confinement.close()
    assert list((data_dir / "tmp").iterdir()) == []


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a listener on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def _run(
    confinement: Confinement, script: str, limits: ConversionLimits = _LIMITS, spool_bytes: int = 0
) -> tuple[int | None, str]:
    """Return the exit code of a shell script, and what it wrote."""
    program = Program(("bash", "-c", script), limits, spool_bytes)
    process = await ConverterProcess.start(program, confinement)
    process.stdin.close()
    output = b""
    while data := await process.stdout.read():
        output += data
    await process.wait()
    process.close()
    return process.exit_code, output.decode()


async def test_a_program_reaches_neither_the_data_nor_the_network(
    confinement: Confinement, data_dir: Path, port: int
) -> None:
    key = data_dir / "signing-key.pem"
    attempts = {
        "data": f"cat {key}",
        "data by other processes": f"cat /proc/*/root{key} /proc/*/cwd/../signing-key.pem",
        "loopback": f"exec 3<>/dev/tcp/127.0.0.1/{port}",
        "system": "touch /usr/kazoo-media",
        "processes": f"kill -0 {os.getpid()}",
        "sockets": "ls /run/* /var/tmp/* | grep .",
        "temporary files of others": f"ls {data_dir.parent}",
        "a namespace with capabilities": "unshare --user --map-root-user true",
        "mounts": "mount -t tmpfs tmpfs /usr",
    }
    lines = [
        f"if ( {attempt} ) >/dev/null 2>&1; then echo {name}; fi"
        for name, attempt in attempts.items()
    ]
    assert await _run(confinement, "\n".join([*lines, "echo tried all"])) == (0, "tried all\n")


async def test_outside_of_a_sandbox_the_same_is_reached(data_dir: Path, port: int) -> None:
    key = data_dir / "signing-key.pem"
    script = f"cat {key}; exec 3<>/dev/tcp/127.0.0.1/{port} && kill -0 {os.getpid()} && echo all"
    assert await _run(Confinement(data_dir / "tmp"), script) == (0, "secretall\n")


async def test_temporary_files_are_in_a_folder_of_the_sandbox(
    confinement: Confinement, data_dir: Path
) -> None:
    script = "pwd; echo $TMPDIR; head -c 1000 /bin/sh > file"
    done = await _run(confinement, script, spool_bytes=1000)
    assert done == (0, "/tmp\n/tmp\n")
    [path] = (data_dir / "tmp").glob("*/file")
    assert path.stat().st_size == 1000


async def test_a_program_has_its_limits(confinement: Confinement) -> None:
    limits = replace(_LIMITS, open_files=20)
    script = "ulimit -t; ulimit -v; ulimit -n; ulimit -c; nice"
    wanted = [limits.cpu_s, limits.memory_bytes // 1024, 20, 0, 10]
    assert await _run(confinement, script, limits) == (0, "".join(f"{n}\n" for n in wanted))


async def test_its_cpu_limit_can_be_raised(confinement: Confinement) -> None:
    program = Program(("bash", "-c", "echo begun; read; ulimit -t"), _LIMITS)
    process = await ConverterProcess.start(program, confinement)
    assert await process.stdout.read() == b"begun\n"
    process.allow_cpu(500)
    await process.stdin.write(b"\n")
    assert await process.stdout.read() == b"500\n"
    process.close()
    await process.wait()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 7", 7),
        ("kill -SEGV $$", -signal.SIGSEGV),
        ("kill -KILL $$", -signal.SIGKILL),
        ("exec head -c 10 /bin/sh > file", -signal.SIGXFSZ),
        ("while :; do :; done", -signal.SIGXCPU),
    ],
)
async def test_its_end_is_reported(confinement: Confinement, script: str, expected: int) -> None:
    code, _ = await _run(confinement, script, replace(_LIMITS, cpu_s=1))
    assert code == expected


async def test_one_that_is_killed_is_killed_inside(confinement: Confinement) -> None:
    program = Program(("bash", "-c", "echo begun; sleep 600 & sleep 600"), _LIMITS)
    process = await ConverterProcess.start(program, confinement)
    await process.stdout.read()
    below = psutil.Process().children(recursive=True)
    inside = [each for each in below if each.name() in {"bash", "sleep"}]
    assert inside
    process.kill()
    process.close()
    await process.wait()
    assert process.exit_code == -signal.SIGKILL
    wait_until(lambda: not any(map(is_alive, inside)), "they ended")


async def test_a_program_that_does_not_exist_cannot_be_started(confinement: Confinement) -> None:
    with pytest.raises(FileNotFoundError):
        await ConverterProcess.start(Program(("no-such-program",), _LIMITS), confinement)


async def test_a_sandbox_that_ends_is_made_again(confinement: Confinement) -> None:
    for each in psutil.Process().children():
        if each.name() == "bwrap":
            each.kill()
    assert await _run(confinement, "echo hello") == (0, "hello\n")


@pytest.mark.usefixtures("confinement")
async def test_a_full_disk_at_the_start_is_no_reason_to_go_without(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkdtemp", full)
        later = await asyncio.to_thread(Confinement.by_sandbox, data_dir / "tmp", data_dir)
        with pytest.raises(OSError, match="No space left"):
            await _run(later, "echo hello")
    try:
        assert await _run(later, f"cat {data_dir}/signing-key.pem || echo hidden") == (
            0,
            "hidden\n",
        )
    finally:
        await asyncio.to_thread(later.close)


_WORKER = """
import asyncio, sys
from pathlib import Path
from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.running.process import ConverterProcess
from kazoo_media.audio.running.program import Program

async def main():
    folder = Path(sys.argv[1])
    confinement = Confinement.by_sandbox(folder, folder)
    script = "exec <&-; echo ready; setsid sleep 600 & sleep 600"
    process = await ConverterProcess.start(
        Program(("sh", "-c", script), ConversionLimits()), confinement
    )
    await process.stdout.read()
    print("ready", flush=True)
    await process.wait()

asyncio.run(main())
"""


def _names(service: psutil.Process) -> list[str]:
    names = []
    for each in service.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            names.append(each.name())
    return names


@pytest.mark.usefixtures("confinement")
def test_a_killed_worker_leaves_no_program(tmp_path_factory: pytest.TempPathFactory) -> None:
    argv = [sys.executable, "-c", _WORKER, str(tmp_path_factory.mktemp("worker"))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            service = psutil.Process(worker.pid)
            wait_until(lambda: _names(service).count("sleep") == 2, "both children run")
            below = service.children(recursive=True)
        finally:
            worker.kill()
    wait_until(lambda: not any(map(is_alive, below)), "no program is left")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (None, "bwrap is not installed"),
        ("echo 'No permissions to create a new namespace' >&2; exit 1", "No permissions to create"),
        ("exit 3", "bwrap ended with exit status 3"),
    ],
)
def test_what_keeps_the_sandbox_from_working_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, expected: str
) -> None:
    for name in ("nsenter", "prlimit"):
        (tmp_path / name).symlink_to("/bin/true")
    if script is not None:
        (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "tmp").mkdir()
    with pytest.raises(OSError, match=expected):
        Confinement.by_sandbox(tmp_path / "tmp", tmp_path)
    assert list((tmp_path / "tmp").iterdir()) == []
