"""Decoding by ffmpeg, for what no back end reads: M4A, WebM, AAC, MP3 in WAV and others."""

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
from kazoo_media.audio.formats import MP4_FAMILY, AudioFormat
from kazoo_media.audio.inspect.head import Head
from kazoo_media.audio.inspect.mp4 import index_comes_first
from kazoo_media.audio.inspect.wav_walk import WavWalk
from kazoo_media.audio.jobs import NO_AUDIO, Report
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.running.evidence import NOTHING_CAME_OUT
from kazoo_media.audio.running.piped import PipedConversion
from kazoo_media.audio.running.process import ConverterProcess
from kazoo_media.audio.running.program import Program

_MIB = 1024 * 1024
_MEMORY_BYTES = 1024 * _MIB  # addresses: its program and the stacks of its threads take 250 MiB
_SPOOL_SCRIPT = Path(__file__).with_name("spool.py")

_DEMUXERS: Mapping[AudioFormat, str] = {
    **dict.fromkeys(MP4_FAMILY, "mov"),
    AudioFormat.MP3: "mp3",
    AudioFormat.OGG: "ogg",
    AudioFormat.OPUS: "ogg",
    AudioFormat.OGG_FLAC: "ogg",
    AudioFormat.FLAC: "flac",
    AudioFormat.WAV: "wav",
    AudioFormat.WAVE64: "w64",
    AudioFormat.AIFF: "aiff",
    AudioFormat.CAF: "caf",
    AudioFormat.AU: "au",
    AudioFormat.G722: "g722",
    AudioFormat.AAC: "aac",
    AudioFormat.AMR: "amr",
    AudioFormat.AMR_WB: "amr",
    AudioFormat.WEBM: "matroska",
    AudioFormat.WMA: "asf",
    AudioFormat.FLV: "flv",
    AudioFormat.MPEG: "mpeg",
}
_FOLLOWED = frozenset({AudioFormat.MP3, AudioFormat.AAC})  # not Ogg: it ends at the change
_MISSING = (
    "{} can be read with ffmpeg only, which is not installed: install the package extra "
    "kazoo-media[ffmpeg], or ffmpeg 6 or later, start the service again, and upload it again"
)
_STOPPED = 255  # it catches the signals that ask it to end, that of the CPU limit among them
_STOPPED_TEXT = "it used more CPU time than is allowed, or was asked to end"
_COMPLAINT = re.compile(r"^(?:\[[^\]]*\] )*\[(?:error|fatal)\] (.+)$", re.MULTILINE)
_NO_STREAM = re.compile(r"Stream map '.*' matches no streams\.")


def find_ffmpeg() -> str | None:
    """Return the path of ffmpeg from the package imageio-ffmpeg or the PATH, or None; blocks."""
    try:
        package = importlib.import_module("imageio_ffmpeg")
        found: str = package.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        found = "ffmpeg"
    return shutil.which(found)


def is_decodable(source: AudioFormat) -> bool:
    """Return whether ffmpeg is used for this format."""
    return source in _DEMUXERS


def ffmpeg_argv(
    executable: str, source: AudioFormat, head: bytes, *, first_channel: bool = False
) -> list[str]:
    """Return the command that reads the source on stdin and writes WAV, mono or stereo, to stdout.

    Args:
        executable: The result of `find_ffmpeg`.
        source: Format of the input, as sniffed.
        head: The first bytes of the input.
        first_channel: Whether to leave the other channels out.

    Raises:
        ValueError: files of this format contain no audio.
    """
    demuxer = _DEMUXERS.get(source)
    if demuxer is None:
        raise ValueError(f"{source.title} contains no audio")
    if source is AudioFormat.MPEG and head.startswith(b"G"):
        demuxer = "mpegts"
    # The table of a CAF and the format of an AIFF may follow the audio.
    is_spooled = source in (AudioFormat.CAF, AudioFormat.AIFF) or (
        source in MP4_FAMILY and not index_comes_first(head)
    )
    # The service passes nothing after the audio of a WAV.
    ignoring = ("-ignore_length", "1") if source is AudioFormat.WAV else ()
    channels = "pan=mono|c0=c0" if first_channel else "aformat=channel_layouts=mono|stereo"
    protocol, url = ("fd", "fd:") if is_spooled else ("pipe", "pipe:0")
    return [
        *((sys.executable, "-I", "-S", str(_SPOOL_SCRIPT)) if is_spooled else ()),
        *(executable, "-nostdin", "-v", "level+error", "-filter_threads", "1"),
        *("-protocol_whitelist", protocol, "-threads", "1", "-f", demuxer, *ignoring, "-i", url),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-af", channels),
        *("-c:a", "pcm_s16le", "-f", "wav", "pipe:1"),
    ]


class _FfmpegProcess(ConverterProcess):
    """Converts ffmpeg's messages to lines like sox's."""

    @property
    @override
    def complaints(self) -> str:
        # ffmpeg continues after a broken frame: the length then shows that audio is missing.
        level = "FAIL" if self.exit_code else "WARN"
        text = _NO_STREAM.sub(NO_AUDIO, super().complaints)
        if self.exit_code == _STOPPED and not text:
            return f"ffmpeg FAIL {_STOPPED_TEXT}"
        return "".join(f"ffmpeg {level} {each}\n" for each in _COMPLAINT.findall(text))


class FfmpegDecoding(PipedConversion):
    """One run of ffmpeg, from a source to WAV.

    It streams, except for AIFF, CAF and an MP4 with its index at the end, which are spooled first.
    """

    @classmethod
    async def start(
        cls,
        executable: str | None,
        source: AudioFormat,
        head: Head,
        limits: ConversionLimits,
        confinement: Confinement,
        *,
        first_channel: bool = False,
    ) -> Self:
        """Return a conversion that waits for its input.

        Args:
            executable: The result of `find_ffmpeg`.
            source: Format of the input, as sniffed.
            head: The beginning of the input.
            limits: Of the program.
            confinement: Of the program.
            first_channel: Whether to leave the other channels out.

        Raises:
            ValueError: ffmpeg is not installed, or such files contain no audio; the text says
                which.
            OSError: the program cannot be started.
        """
        if executable is None:
            raise ValueError(_MISSING.format(head.title(source)))
        limits = replace(limits, memory_bytes=max(limits.memory_bytes, _MEMORY_BYTES))
        argv = ffmpeg_argv(executable, source, head.data, first_channel=first_channel)
        spool_bytes = limits.spool_bytes if argv[0] == sys.executable else 0
        process = await _FfmpegProcess.start(Program(argv, limits, spool_bytes), confinement)
        conversion = cls(process, source, AudioFormat.WAV, limits)
        if source is AudioFormat.WAV:
            conversion._walk = WavWalk()
        return conversion

    @property
    @override
    def backend(self) -> str:
        return "ffmpeg"

    @property
    @override
    def _is_confused(self) -> bool:
        return super()._is_confused and self._input.format not in _FOLLOWED

    @override
    def _judge(self, report: Report) -> str | None:
        reason = super()._judge(report)
        if reason == NOTHING_CAME_OUT and not report.warnings:
            return NO_AUDIO
        if reason is None and self._input.meter.expected_ms() is None:
            # If the expected length is unknown, ffmpeg must not have reported any error.
            return next(iter(report.warnings), None)
        return reason
