"""Uploads, tails and downloads of large files."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from tests.bench.audio import write_music
from tests.bench.http_load import Endpoint, Timing, create_media, download, upload
from tests.bench.peers.running import nginx_binary
from tests.bench.services import Services
from tests.bench.table import Better, Contest, Line, Sample

_PACED_BYTES = 32 * 1024 * 1024
_PACED_BYTES_S = 16_000_000
"""Speed of a fast client, which one converter can follow. At the speed of the loopback interface
the tail mainly depends on the bytes in the sockets' buffers when the last byte is handed over."""
_NGINX_PATH = "/files/{}.wav"


class Transfers:
    """The contests with uploads and downloads of a file."""

    def __init__(self, services: Services, folder: Path, size_bytes: int) -> None:
        """Keep the sides, a folder for the audio, and its size."""
        self._services = services
        self._folder = folder
        self._size_bytes = size_bytes
        self._title = f"{size_bytes >> 20} MB"
        self._nginx_files = 0

    def contests(self) -> list[Contest]:
        """Return the contests in the order of their measurement."""
        return [self._upload(), self._normalized(), self._tail(), self._download()]

    def _upload(self) -> Contest:
        title = f"upload {self._title}"
        sides: dict[str, Callable[[], Sample]] = {
            "ours": lambda: self._rate(_uploaded(self._ours, self._music)),
            "starlette": lambda: self._rate(_uploaded(self._starlette, self._music)),
        }
        if nginx_binary():
            sides["nginx"] = self._nginx_upload
        lines = [
            Line(title, "mb_s", "MB/s", Better.MORE, 0.6),
            Line(f"{title}: tail", "tail_ms", "ms", Better.LESS),
            Line(f"{title}: nginx", "mb_s", "MB/s", Better.MORE, peer="nginx"),
        ]
        return Contest("upload", sides, lines)

    def _normalized(self) -> Contest:
        title = f"upload {self._title}, normalized"
        sides: dict[str, Callable[[], Sample]] = {
            "ours": lambda: self._rate(_uploaded(self._ours_normalizing, self._music)),
            "ours without": lambda: self._rate(_uploaded(self._ours, self._music)),
            "starlette": lambda: self._rate(
                _uploaded(self._starlette, self._music, suffix="?normalize=1")
            ),
        }
        added = f"{title}: tail, less without"
        lines = [
            Line(title, "mb_s", "MB/s", Better.MORE, 0.6),
            Line(f"{title}: tail", "tail_ms", "ms", Better.LESS),
            Line(added, "tail_ms", "ms", Better.DIFFERENCE, peer="ours without"),
        ]
        return Contest("normalized", sides, lines, warm_up=False)

    def _tail(self) -> Contest:
        def tail(endpoint: Endpoint) -> Sample:
            timing = _uploaded(endpoint, self._short_music, rate_bytes_s=_PACED_BYTES_S)
            return {"tail_ms": timing.tail_s * 1000}

        sides: dict[str, Callable[[], Sample]] = {
            "ours": lambda: tail(self._ours),
            "ours normalizing": lambda: tail(self._ours_normalizing),
            "starlette": lambda: tail(self._starlette),
        }
        title = f"tail at {_PACED_BYTES_S // 1_000_000} MB/s"
        added = f"{title}, normalized: less without"
        lines = [
            Line(title, "tail_ms", "ms", Better.LESS),
            Line(added, "tail_ms", "ms", Better.DIFFERENCE, 50, "ours normalizing", "ours"),
        ]
        return Contest("tail", sides, lines)

    def _download(self) -> Contest:
        title = f"download {self._title}"
        sides: dict[str, Callable[[], Sample]] = {
            "ours": lambda: self._rate(self._downloaded(self._ours, self._our_path)),
            "starlette": lambda: self._rate(self._downloaded(self._starlette, self._peer_path)),
        }
        if nginx_binary():
            sides["nginx"] = lambda: self._rate(self._downloaded(self._starlette, self._nginx_path))
        lines = [
            Line(title, "mb_s", "MB/s", Better.MORE, 0.8),
            Line(f"{title}: nginx", "mb_s", "MB/s", Better.MORE, peer="nginx"),
        ]
        return Contest("download", sides, lines)

    @property
    def _ours(self) -> Endpoint:
        return self._services.plain.endpoint

    @property
    def _ours_normalizing(self) -> Endpoint:
        return self._services.normalizing.endpoint

    @property
    def _starlette(self) -> Endpoint:
        return self._services.peers.endpoint

    @cached_property
    def _music(self) -> Path:
        return self._written("music.wav", self._size_bytes)

    @cached_property
    def _short_music(self) -> Path:
        return self._written("short.wav", _PACED_BYTES)

    @cached_property
    def _our_path(self) -> str:
        return stored(self._ours, self._music)

    @cached_property
    def _peer_path(self) -> str:
        return stored(self._starlette, self._music)

    @cached_property
    def _nginx_path(self) -> str:
        path = _NGINX_PATH.format("download")
        upload(self._starlette, "PUT", path, self._music)
        return path

    def _written(self, name: str, size_bytes: int) -> Path:
        path = self._folder / name
        write_music(path, size_bytes)
        return path

    def _nginx_upload(self) -> Sample:
        self._nginx_files += 1
        os.sync()
        path = _NGINX_PATH.format(self._nginx_files)
        return self._rate(upload(self._starlette, "PUT", path, self._music))

    def _downloaded(self, endpoint: Endpoint, path: str) -> Timing:
        return download(endpoint, path, self._size_bytes)

    def _rate(self, timing: Timing) -> Sample:
        rate = self._size_bytes / timing.whole_s / 1_000_000
        return {"mb_s": rate, "tail_ms": timing.tail_s * 1000}


def stored(endpoint: Endpoint, file: Path) -> str:
    """Return the path of freshly uploaded content."""
    path = f"{endpoint.media_path}/{create_media(endpoint)}/raw"
    upload(endpoint, "POST", path, file)
    return path


def _uploaded(
    endpoint: Endpoint, file: Path, suffix: str = "", rate_bytes_s: float | None = None
) -> Timing:
    """Upload a file to a new media after all earlier data has reached the disk."""
    path = f"{endpoint.media_path}/{create_media(endpoint)}/raw{suffix}"
    os.sync()
    return upload(endpoint, "POST", path, file, rate_bytes_s)
