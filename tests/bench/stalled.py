"""Peak memory of worker and Envoy during 32 stalled uploads and 32 stalled downloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench.audio import write_music
from tests.bench.http_load import Endpoint, create_media
from tests.bench.memory import (
    STALLED_CLIENTS,
    UPLOAD_BYTES,
    Memory,
    PeakMemory,
    stalled_downloads,
    stalled_uploads,
)
from tests.bench.services import Services
from tests.bench.table import Better, Contest, Line, Sample
from tests.bench.transfers import stored

_MARK_MIB = 3


class Stalled:
    """The contest; it comes first, on fresh processes."""

    def __init__(self, services: Services, folder: Path, size_bytes: int) -> None:
        """Keep the sides, a folder for audio, and the size of the download."""
        self._services = services
        self._folder = folder
        self._size_bytes = size_bytes

    def contest(self) -> Contest:
        """Return the contest."""
        titles = {
            "idle": "memory, idle",
            "uploads": f"peak memory, {STALLED_CLIENTS} stalled uploads",
            "downloads": f"peak memory, {STALLED_CLIENTS} stalled downloads",
        }
        lines = [
            Line(f"{title}: {part}", f"{metric} {part}", "MB", Better.LESS)
            for metric, title in titles.items()
            for part in ("worker", "Envoy")
        ]
        lines += [
            Line(
                f"a stalled {each}: worker and Envoy above idle",
                each,
                "MiB",
                Better.AT_MOST,
                _MARK_MIB,
            )
            for each in ("upload", "download")
        ]
        sides = {"ours": self._ours, "starlette": self._starlette}
        return Contest("memory", sides, lines, warm_up=False, most_rounds=1)

    def _ours(self) -> Sample:
        ours = self._services.plain
        return self._measured(ours.endpoint, ours.worker_pids, ours.envoy_pid)

    def _starlette(self) -> Sample:
        peers = self._services.peers
        return self._measured(peers.endpoint, [peers.worker_pid], peers.envoy_pid)

    def _measured(self, endpoint: Endpoint, worker_pids: list[int], envoy_pid: int) -> Sample:
        def peak(stall: Callable[[], None]) -> Memory:
            with PeakMemory(worker_pids, envoy_pid) as memory:
                stall()
            return memory.peak

        idle = PeakMemory(worker_pids, envoy_pid).now()
        music = self._folder / "stalled.wav"
        write_music(music, self._size_bytes)
        head = music.read_bytes()[: UPLOAD_BYTES // 2]
        paths = [
            f"{endpoint.media_path}/{create_media(endpoint)}/raw" for _ in range(STALLED_CLIENTS)
        ]
        uploads = peak(lambda: stalled_uploads(endpoint, paths, head))
        path = stored(endpoint, music)
        downloads = peak(lambda: stalled_downloads(endpoint, path))
        return {
            "upload": _each_mib(uploads, idle),
            "download": _each_mib(downloads, idle),
        } | {
            f"{metric} {part}": value
            for metric, memory in (("idle", idle), ("uploads", uploads), ("downloads", downloads))
            for part, value in (("worker", memory.worker), ("Envoy", memory.envoy))
        }


def _each_mib(peak: Memory, idle: Memory) -> float:
    """Return what each of the transfers takes."""
    return (peak.total - idle.total) * 1_000_000 / STALLED_CLIENTS / (1 << 20)
