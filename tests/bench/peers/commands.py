"""Converters on the command line: sox, ffmpeg, ffmpeg-normalize."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg

from tests.bench.http_load import MeasurementError, NotThereError

SOX = ("sox", "-t", "wav", "-", "-r", "8000", "-t", "mp3", "-")
"""Kazoo's command."""
SOX_32 = ("sox", "-t", "wav", "-", "-r", "8000", "-c", "1", "-C", "32.7", "-t", "mp3", "-")
_METERED = ("gain", "-6", "channels", "1", "highpass", "60", "rate", "8000")
_LOUDNESS_LUFS, _HIGHEST_DBFS = -19.0, -1.0
_RMS_ABOVE_LUFS = 0.76
"""Average difference between RMS and loudness of telephone speech."""


def ffmpeg_command() -> list[str]:
    """Return the ffmpeg command that is equivalent to SOX_32."""
    quiet = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-f", "wav"]
    target = ["-ar", "8000", "-ac", "1", "-c:a", "libmp3lame", "-b:a", "32k", "-f", "mp3"]
    return [*quiet, "-i", "pipe:0", *target, "pipe:1"]


def ffmpeg_normalize_command(source: Path, target: Path) -> tuple[list[str], dict[str, str]]:
    """Return command and environment for two passes of ffmpeg's loudnorm.

    Raises:
        NotThereError: ffmpeg-normalize is not installed.
    """
    program = Path(sys.executable).parent / "ffmpeg-normalize"
    if not program.exists():
        raise NotThereError("ffmpeg-normalize is not installed: make setup-bench")
    level = ["-t", str(_LOUDNESS_LUFS), "-tp", str(_HIGHEST_DBFS)]
    made = ["-ar", "8000", "-c:a", "libmp3lame", "-b:a", "32k", "-e=-ac 1"]
    command = [str(program), str(source), *level, *made, "-f", "-o", str(target)]
    return command, {"FFMPEG_PATH": imageio_ffmpeg.get_ffmpeg_exe()}


def normalize_in_two_passes(source: Path, target: Path) -> None:
    """Measure a file with sox, then convert it with one gain.

    Raises:
        MeasurementError: sox failed.
    """
    gain = gain_effect(_sox(str(source), "-n", *_METERED, "stats"))
    _sox(str(source), "-C", "32.7", str(target), *_METERED, *gain)


def gain_effect(stats: str) -> list[str]:
    """Return the effect that raises audio to the target loudness, with a limiter if needed.

    Args:
        stats: The output of sox's `stats`.
    """
    found = [
        re.search(rf"^{name} lev dB\s+(-?[\d.]+)", stats, re.MULTILINE) for name in ("RMS", "Pk")
    ]
    if found[0] is None or found[1] is None:
        raise MeasurementError(f"sox printed no level: {stats[-300:]}")
    gain_db = _LOUDNESS_LUFS + _RMS_ABOVE_LUFS - float(found[0][1])
    limited = float(found[1][1]) + gain_db > _HIGHEST_DBFS
    return ["gain", *(["-l"] if limited else []), f"{gain_db:.2f}"]


def _sox(*arguments: str) -> str:
    done = subprocess.run(["sox", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MeasurementError(f"sox: {done.stderr[-500:]}")
    return done.stderr
