"""Time that normalization adds after the last byte of ten minutes of music, by preset."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

from tests.bench.audio import write_ten_minutes
from tests.bench.http_load import Timing, create_media, upload
from tests.bench.peers.commands import normalize_in_two_passes
from tests.bench.presets import METERED, STREAMING, converted
from tests.bench.services import Services
from tests.bench.table import Better, Contest, Line, Sample

PACED_BYTES_S = 16_000_000
_LOUDNESS = METERED[0]
_TWO_PASS = "two-pass sox"
_ROUNDS = 3


class PresetTails:
    """The contests; the product chooses the back end."""

    def __init__(self, services: Services, folder: Path) -> None:
        """Keep the product and a folder for the audio."""
        self._services = services
        self._folder = folder

    def contests(self) -> list[Contest]:
        """Return the contests: at the speed of a fast client, then at that of the loopback."""
        title = f"tail of 10 min at {PACED_BYTES_S // 1_000_000} MB/s"
        loudness = Line(
            f"{title}, {_LOUDNESS}: spooled two-pass sox",
            *("tail_ms", "ms", Better.LESS, 3, _LOUDNESS, _TWO_PASS),
        )
        paced = [*(_added(title, preset, 25) for preset in STREAMING), loudness]
        title = "tail of 10 min at full speed"
        unpaced = [_added(title, preset, None) for preset in (*STREAMING, _LOUDNESS)]
        return [
            self._contest("preset-tail", PACED_BYTES_S, paced),
            self._contest("preset-tail-full", None, unpaced),
        ]

    def _contest(self, name: str, rate_bytes_s: float | None, lines: list[Line]) -> Contest:
        sides = self._sides(rate_bytes_s)
        return Contest(name, sides, lines, warm_up=False, most_rounds=_ROUNDS)

    def _sides(self, rate_bytes_s: float | None) -> dict[str, Callable[[], Sample]]:
        sides: dict[str, Callable[[], Sample]] = {"without": partial(self._without, rate_bytes_s)}
        for preset in (*STREAMING, _LOUDNESS):
            sides[preset] = partial(self._with, preset, rate_bytes_s)
        if rate_bytes_s is not None:
            sides[_TWO_PASS] = self._two_pass
        return sides

    def _without(self, rate_bytes_s: float | None) -> Sample:
        endpoint = self._services.plain.endpoint
        path = f"{endpoint.media_path}/{create_media(endpoint)}/raw"
        os.sync()
        return _tail(upload(endpoint, "POST", path, self._music, rate_bytes_s))

    def _with(self, preset: str, rate_bytes_s: float | None) -> Sample:
        os.sync()
        return _tail(converted(self._services.plain, preset, self._music, rate_bytes_s)[1])

    def _two_pass(self) -> Sample:
        """Convert a stored file: the whole conversion follows the last byte."""
        started = time.perf_counter()
        normalize_in_two_passes(self._music, self._folder / "two-pass.mp3")
        return {"tail_ms": (time.perf_counter() - started) * 1000}

    @cached_property
    def _music(self) -> Path:
        return write_ten_minutes(self._folder)


def _added(title: str, preset: str, mark: float | None) -> Line:
    title = f"{title}, {preset}: less without"
    return Line(title, "tail_ms", "ms", Better.DIFFERENCE, mark, preset, "without")


def _tail(timing: Timing) -> Sample:
    return {"tail_ms": timing.tail_s * 1000}
