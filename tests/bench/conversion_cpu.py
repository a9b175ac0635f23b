"""CPU time of conversions: the product's converters against sox, ffmpeg and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path

from tests.bench.audio import write_ten_minutes
from tests.bench.peers.commands import (
    SOX,
    SOX_32,
    ffmpeg_command,
    ffmpeg_normalize_command,
    normalize_in_two_passes,
)
from tests.bench.presets import (
    COMMAND,
    METERED,
    PRESETS,
    children_cpu_s,
    choose_backend,
    command_cpu_s,
    converted,
    converter_cpu_s,
)
from tests.bench.services import Services
from tests.bench.table import Better, Contest, Line, Sample

_ROUNDS = 3
_EACH_NTH = 2
_SOX, _SOX_32, _FFMPEG = "sox", "sox -c 1 -C 32.7", "ffmpeg"
_TWO_PASS, _FFMPEG_NORMALIZE = "two-pass sox", "ffmpeg-normalize"
_LOUDNESS = METERED[0]
_PRESET = "telephony"
_OTHER_PRESETS = tuple(each for each in PRESETS if each not in (COMMAND, _PRESET))


class ConversionCpu:
    """The contests. The product converts by the preset telephony in process."""

    def __init__(self, services: Services, prompts: Path, folder: Path) -> None:
        """Keep the product, the folder of the prompts, and one for output."""
        self._services = services
        self._files = sorted(prompts.glob("*.wav"))[::_EACH_NTH]
        self._folder = folder

    def contests(self) -> list[Contest]:
        """Return the contests."""
        prompts, long = "CPU of a prompt", "CPU of 10 min, 44.1 kHz stereo"
        loudness = f"{long}, {_LOUDNESS}"
        metered = [
            Line(f"{loudness}: {peer}", "ms", "ms", Better.LESS, peer=peer)
            for peer in (_TWO_PASS, _FFMPEG_NORMALIZE)
        ]
        return [
            Contest(
                "prompt-cpu",
                self._sides(lambda: self._files),
                _lines(prompts, 2),
                most_rounds=_ROUNDS,
            ),
            Contest(
                "long-cpu",
                self._sides(lambda: [self._music]) | self._other_presets(),
                [*_lines(long, 2), *(_line(long, _SOX, 2, each) for each in _OTHER_PRESETS)],
                most_rounds=_ROUNDS,
            ),
            Contest("loudness-cpu", self._metered(), metered, warm_up=False, most_rounds=1),
        ]

    def _sides(self, files: Callable[[], Sequence[Path]]) -> dict[str, Callable[[], Sample]]:
        return {
            "ours": lambda: self._ours("inprocess", _PRESET, files()),
            "ours by sox": lambda: self._ours("sox", _PRESET, files()),
            _SOX: lambda: _mean(files(), partial(command_cpu_s, SOX)),
            _SOX_32: lambda: _mean(files(), partial(command_cpu_s, SOX_32)),
            _FFMPEG: lambda: _mean(files(), partial(command_cpu_s, ffmpeg_command())),
        }

    def _other_presets(self) -> dict[str, Callable[[], Sample]]:
        return {preset: partial(self._ours_of_music, preset) for preset in _OTHER_PRESETS}

    def _ours_of_music(self, preset: str) -> Sample:
        return self._ours("inprocess", preset, [self._music])

    def _metered(self) -> dict[str, Callable[[], Sample]]:
        return {
            "ours": lambda: self._ours("inprocess", _LOUDNESS, [self._music]),
            _TWO_PASS: self._two_pass,
            _FFMPEG_NORMALIZE: self._ffmpeg_normalize,
        }

    def _ours(self, backend: str, preset: str, files: Sequence[Path]) -> Sample:
        product = self._services.plain
        choose_backend(product, backend)
        try:
            before = converter_cpu_s(product)
            for file in files:
                converted(product, preset, file)
            used_s = converter_cpu_s(product) - before
        finally:
            choose_backend(product, "auto")
        return {"ms": used_s * 1000 / len(files)}

    def _two_pass(self) -> Sample:
        before = children_cpu_s()
        normalize_in_two_passes(self._music, self._folder / "two-pass.mp3")
        return {"ms": (children_cpu_s() - before) * 1000}

    def _ffmpeg_normalize(self) -> Sample:
        target = self._folder / "ffmpeg-normalize.mp3"
        command, environment = ffmpeg_normalize_command(self._music, target)
        return {"ms": command_cpu_s(command, self._music, **environment) * 1000}

    @cached_property
    def _music(self) -> Path:
        return write_ten_minutes(self._folder)


def _lines(title: str, mark: float) -> list[Line]:
    return [
        _line(title, _SOX, mark),
        _line(title, _SOX_32, None),
        _line(title, _FFMPEG, None),
        _line(title, _SOX, None, "ours by sox"),
    ]


def _line(title: str, peer: str, least: float | None, ours: str = "ours") -> Line:
    name = f"{title}: {peer}" if ours == "ours" else f"{title}, {ours}: {peer}"
    return Line(name, "ms", "ms", Better.LESS, least, ours, peer)


def _mean(files: Sequence[Path], cpu_s: Callable[[Path], float]) -> Sample:
    return {"ms": sum(map(cpu_s, files)) * 1000 / len(files)}
