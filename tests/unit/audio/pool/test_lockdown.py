"""What a converter may not do."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import soundfile

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.jobs import ENVIRONMENT, SOURCES, TARGETS
from kazoo_media.audio.presets import PRESETS
from tests.support.audio_samples import contained, encoded
from tests.unit.audio.pool.pool_runs import SPEECH, TELEPHONY, PoolUnderTest, until

_TRIES = """
import ctypes, errno, mmap, os, pyseccomp, socket, sys
from kazoo_media.audio.pool.lockdown import become_converter, lock_down

libc = ctypes.CDLL(None, use_errno=True)

def tried(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def call(name, *arguments):
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    assert number >= 0, name
    def attempt():
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), name)
    return attempt

left, right = socket.socketpair()
path = ctypes.create_string_buffer(b"/bin/true")
nothing = ctypes.create_string_buffer(4096)
sockets = {
    f"socket {family} {kind}": call("socket", family, kind, 0)
    for family in range(1, 46) for kind in (1, 2, 3, 5)
}
attempts = sockets | {
    "socketpair": call("socketpair", 1, 1, 0, nothing),
    "bind": call("bind", left.fileno(), nothing, 16),
    "connect": call("connect", left.fileno(), nothing, 16),
    "listen": call("listen", left.fileno(), 1),
    "accept4": call("accept4", left.fileno(), None, None, 0),
    "execve": call("execve", path, None, None),
    "execveat": call("execveat", -100, path, None, None, 0),
    "fork": os.fork,
    "clone3": call("clone3", nothing, 88),
    "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "openat2": call("openat2", -100, path, nothing, 24),
    "unlink": lambda: os.unlink("/tmp/none"),
    "ptrace": call("ptrace", 0, 0, None, None),
    "process_vm_readv": call("process_vm_readv", os.getpid(), None, 0, None, 0, 0),
    "pidfd_open": call("pidfd_open", os.getpid(), 0),
    "kill": lambda: os.kill(os.getppid(), 0),
    "io_uring_setup": call("io_uring_setup", 8, nothing),
    "bpf": call("bpf", 0, nothing, 72),
    "keyctl": call("keyctl", 0, -3, 1),
    "add_key": call("add_key", path, path, None, 0, -3),
    "userfaultfd": call("userfaultfd", 1),
    "perf_event_open": call("perf_event_open", nothing, 0, -1, -1, 0),
    "mount": call("mount", None, path, path, 0, None),
    "unshare": call("unshare", 0x10000000),
    "setns": call("setns", left.fileno(), 0),
    "chroot": call("chroot", path),
    "memfd_create": call("memfd_create", path, 0),
    "ioctl": call("ioctl", left.fileno(), 0x8933, nothing),
    "prlimit64": call("prlimit64", os.getppid(), 7, None, nothing),
    "seccomp": call("seccomp", 2, 0, None),
}
lockdown = lock_down()
assert not lockdown.missing, lockdown
parent = os.getpid()
pid = os.fork()
if pid == 0:
    become_converter(parent, lockdown)
    for name, attempt in attempts.items():
        outcome = tried(attempt)
        if outcome != "ENOSYS":
            print(name, outcome, flush=True)
    print("tried", len(attempts), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""


def test_a_converter_gets_no_socket_no_program_no_file_and_no_other_process() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _TRIES], capture_output=True, check=False, text=True
    )
    assert (run.stdout, run.stderr) == ("tried 210\n", "")


_WITHOUT = """
import sys
sys.modules["pyseccomp"] = None
from kazoo_media.audio.pool.lockdown import lock_down
print(lock_down().missing)
try:
    open("/etc/passwd")
except PermissionError:
    print("denied")
"""


def test_without_libseccomp_files_are_still_denied() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _WITHOUT], capture_output=True, check=True, text=True
    )
    assert run.stdout == "['seccomp']\ndenied\n"


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
    assert status["Seccomp_filters"] == "2"  # that of the zygote and its own
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


def _written(wav: bytes, container: str) -> bytes:
    """Return the audio in a container with its true sizes: a pipe has placeholders."""
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="int16")
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=container, subtype="PCM_16")
    return buffer.getvalue()


_INPUTS: dict[AudioFormat, Callable[[], bytes]] = {
    AudioFormat.WAV: lambda: SPEECH,
    AudioFormat.MP3: lambda: encoded(SPEECH, "mp3"),
    AudioFormat.OGG: lambda: encoded(SPEECH, "ogg"),
    AudioFormat.OPUS: lambda: contained(SPEECH, "a.opus"),
    AudioFormat.FLAC: lambda: encoded(SPEECH, "flac"),
    AudioFormat.AU: lambda: encoded(SPEECH, "au"),
    AudioFormat.PCMA: lambda: encoded(SPEECH, "al", "-r", "8000"),
    AudioFormat.PCMU: lambda: encoded(SPEECH, "ul", "-r", "8000"),
    AudioFormat.GSM: lambda: encoded(SPEECH, "gsm", "-r", "8000"),
    AudioFormat.AIFF: lambda: _written(SPEECH, "AIFF"),
    AudioFormat.CAF: lambda: contained(SPEECH, "a.caf"),
}


async def test_a_confined_converter_reads_every_input_and_makes_every_output(
    pool: PoolUnderTest,
) -> None:
    assert set(_INPUTS) == SOURCES
    inputs = {source: make() for source, make in _INPUTS.items()}
    kinds = [(source, AudioFormat.MP3, preset) for source in inputs for preset in PRESETS]
    kinds += [(AudioFormat.WAV, target, preset) for target in TARGETS for preset in PRESETS]
    failed = {}
    for source, target, preset in kinds:
        job = replace(TELEPHONY, source=source, target=target, preset=preset)
        out, outcome = await pool.convert(inputs[source], job)
        if outcome.report.error or not out:
            failed[source, target, preset] = outcome.report.error
    assert failed == {}
