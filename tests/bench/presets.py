"""Conversions by the built product: presets, CPU time and output."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from google.protobuf.struct_pb2 import Value

from kazoo_media.audio.presets import PRESET_NAMES
from tests.bench.http_load import MeasurementError, NotThereError, Timing, ask, create_media, upload
from tests.bench.services import Running

COMMAND = "kazoo"
"""Format that the command of the settings writes."""
STREAMING = (COMMAND, "telephony", "wideband", "guard", "voicemail")
METERED = ("loudness", "rfc7874")
"""Presets that read the whole file before choosing a gain."""
PRESETS = (*STREAMING, *METERED)
BACKENDS = ("sox", "inprocess")


def choose_backend(running: Running, backend: str) -> None:
    """Select the back end for all presets: a name in BACKENDS, or `auto`.

    Raises:
        NotThereError: the product does not have this back end.
    """
    running.set_default("media", "normalize_backend", Value(string_value=backend))


def converted(
    running: Running, preset: str, file: Path, rate_bytes_s: float | None = None
) -> tuple[str, Timing]:
    """Return the path of content that the product has normalized, and the time of the upload.

    Raises:
        NotThereError: the product does not have this preset.
        MeasurementError: the content was not normalized.
    """
    if preset not in PRESET_NAMES:
        raise NotThereError(f"there is no preset {preset}")
    endpoint = running.endpoint
    path = f"{endpoint.media_path}/{create_media(endpoint)}"
    timing = upload(endpoint, "POST", f"{path}/raw?preset={preset}", file, rate_bytes_s)
    document = ask(endpoint, "GET", path)["data"]
    if document.get("normalization_preset") != preset:
        reason = document.get("normalization_error", document)
        raise MeasurementError(f"{preset} did not normalize {file.name}: {reason}")
    return f"{path}/raw", timing


def converter_cpu_s(running: Running) -> float:
    """Return the CPU time of all converters of the product, without workers and Envoy.

    Exact to 10 ms per process, the kernel's tick.
    """
    servers = {running.envoy_pid, *running.worker_pids}
    total = 0.0
    for each in psutil.Process(running.supervisor_pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.children_user + times.children_system
            if each.pid not in servers:
                total += times.user + times.system
    return total


def command_cpu_s(command: Sequence[str], source: Path, **environment: str) -> float:
    """Return the CPU time of a command that reads a file on stdin; its output is dropped.

    Raises:
        MeasurementError: the command failed.
    """
    before = children_cpu_s()
    with source.open("rb") as audio:
        done = subprocess.run(
            command,
            env=os.environ | environment,
            stdin=audio,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    if done.returncode:
        text = done.stderr.decode(errors="replace")[-500:]
        raise MeasurementError(f"{' '.join(command[:3])}: {text}")
    return children_cpu_s() - before


def children_cpu_s() -> float:
    """Return the CPU time of all ended children of this process."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
