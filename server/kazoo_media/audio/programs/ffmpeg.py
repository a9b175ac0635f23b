"""Decoding by the ffmpeg program of what no back end can read: M4A, WebM, Opus, AAC and others."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from typing_extensions import override

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.head import Head
from kazoo_media.audio.inspect.mp4 import index_comes_first
from kazoo_media.audio.jobs import Report
from kazoo_media.audio.running.piped import PipedConversion
from kazoo_media.audio.running.process import ConverterProcess

_MIB = 1024 * 1024
_MEMORY_BYTES = 1024 * _MIB  # addresses: its program and the stacks of its threads take 250 MiB
_SPOOL_SCRIPT = Path(__file__).with_name("spool.py")

_MP4_FAMILY = frozenset({AudioFormat.M4A, AudioFormat.MP4, AudioFormat.QUICKTIME})
_DEMUXERS: Mapping[AudioFormat, str] = {
    AudioFormat.M4A: "mov",
    AudioFormat.MP4: "mov",
    AudioFormat.QUICKTIME: "mov",
    AudioFormat.OPUS: "ogg",
    AudioFormat.AAC: "aac",
    AudioFormat.AMR_WB: "amr",
    AudioFormat.WEBM: "matroska",
    AudioFormat.WMA: "asf",
    AudioFormat.FLV: "flv",
    AudioFormat.MPEG: "mpeg",
}
_MISSING = (
    "{} can be read with ffmpeg only, which is not installed: install the package extra "
    "kazoo-media[ffmpeg], or ffmpeg 6 or later, start the service again, and upload it again"
)
_STOPPED = 255  # it catches the signals that ask it to end, that of the CPU limit among them
_STOPPED_TEXT = "it used more CPU time than is allowed, or was asked to end"
_COMPLAINT = re.compile(r"^(?:\[[^\]]*\] )*\[(?:error|fatal)\] (.+)$", re.MULTILINE)
_NO_AUDIO = re.compile(r"Stream map '.*' matches no streams\.")


def find_ffmpeg() -> str | None:
    """Return the path of ffmpeg: of the package imageio-ffmpeg, else as the PATH has it; None:
    there is none. Blocks for a moment.
    """
    try:
        package = importlib.import_module("imageio_ffmpeg")
        found: str = package.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        found = "ffmpeg"
    return shutil.which(found)


def ffmpeg_argv(executable: str, source: AudioFormat, head: bytes) -> list[str]:
    """Return the command that reads the source on stdin and writes WAV, mono or stereo, to stdout.

    Args:
        executable: As `find_ffmpeg` found it.
        source: As sniffed.
        head: The first bytes of the input.

    Raises:
        ValueError: there is no audio in such files.
    """
    demuxer = _DEMUXERS.get(source)
    if demuxer is None:
        raise ValueError(f"{source.title} holds no audio")
    if source is AudioFormat.MPEG and head.startswith(b"G"):
        demuxer = "mpegts"
    is_spooled = source in _MP4_FAMILY and not index_comes_first(head)
    protocol, url = ("fd", "fd:") if is_spooled else ("pipe", "pipe:0")
    return [
        *((sys.executable, "-I", "-S", str(_SPOOL_SCRIPT)) if is_spooled else ()),
        *(executable, "-nostdin", "-v", "level+error", "-filter_threads", "1"),
        *("-protocol_whitelist", protocol, "-threads", "1", "-f", demuxer, "-i", url),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-af", "aformat=channel_layouts=mono|stereo"),
        *("-c:a", "pcm_s16le", "-f", "wav", "pipe:1"),
    ]


class _FfmpegProcess(ConverterProcess):
    """Says what went wrong in lines like sox's."""

    @property
    @override
    def complaints(self) -> str:
        # It goes on behind a broken frame: what is missing then shows in the length.
        level = "FAIL" if self.exit_code else "WARN"
        text = _NO_AUDIO.sub("there is no audio in the input", super().complaints)
        if self.exit_code == _STOPPED and not text:
            return f"ffmpeg FAIL {_STOPPED_TEXT}"
        return "".join(f"ffmpeg {level} {each}\n" for each in _COMPLAINT.findall(text))


class FfmpegDecoding(PipedConversion):
    """One run of ffmpeg, from a source to WAV. Streams, except an MP4 that has its index at its
    end: that is spooled first.
    """

    @classmethod
    async def start(
        cls,
        executable: str | None,
        source: AudioFormat,
        head: Head,
        limits: ConversionLimits,
        temp_folder: Path,
    ) -> Self:
        """Return a conversion that waits for its input.

        Raises:
            ValueError: there is no ffmpeg, or no audio in such files; the text says which.
            OSError: the program cannot be started.
        """
        if executable is None:
            raise ValueError(_MISSING.format(source.title))
        limits = replace(limits, memory_bytes=max(limits.memory_bytes, _MEMORY_BYTES))
        argv = ffmpeg_argv(executable, source, head.data)
        spool_bytes = limits.spool_bytes if argv[0] == sys.executable else 0
        process = await _FfmpegProcess.start(argv, limits, spool_bytes, temp_folder)
        return cls(process, source, AudioFormat.WAV, limits)

    @override
    def _judge(self, report: Report) -> str | None:
        reason = super()._judge(report)
        if reason is None and self._input.meter.expected_ms() is None:
            # Nothing says how much should have come out: then it must have come without complaint.
            return next(iter(report.warnings), None)
        return reason
