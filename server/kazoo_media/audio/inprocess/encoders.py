"""Encoding into a pipe, block by block."""

from __future__ import annotations

import io
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping

import lameenc
import numpy as np
import soundfile
from numpy.typing import NDArray
from typing_extensions import override

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inprocess.samples import encode_g711

_LAME_QUALITY = 7  # at telephone rates both the fastest and the best
_UNKNOWN_SIZE = 0xFFFFFFFF
_WAV_CODES = {"linear16": 1, "alaw": 6, "mulaw": 7}


class Encoder(ABC):
    """Mono, 16 bits.

    Attributes:
        factor: Factor that the encoder itself applies to all samples.
        overshoot_db: How much a decoder's peaks can exceed those of the input, at most.
    """

    factor = 1.0
    overshoot_db = 0.0

    @abstractmethod
    def encode(self, samples: NDArray[np.int16]) -> None:
        """Write the next samples."""

    @abstractmethod
    def finish(self) -> None:
        """Write the rest. No `write` may follow."""


class Mp3Encoder(Encoder):
    """CBR: players guess a wrong length of a VBR stream without a tag."""

    factor = 0.95  # LAME's own headroom
    overshoot_db = 1.0

    def __init__(self, sink_fd: int, sample_rate_hertz: int, kilobits_per_s: int) -> None:
        self._sink_fd = sink_fd
        self._lame = lameenc.Encoder()
        self._lame.silence()
        self._lame.set_channels(1)
        self._lame.set_in_sample_rate(sample_rate_hertz)
        self._lame.set_out_sample_rate(sample_rate_hertz)
        self._lame.set_bit_rate(kilobits_per_s)
        self._lame.set_quality(_LAME_QUALITY)

    @override
    def encode(self, samples: NDArray[np.int16]) -> None:
        if len(samples):
            write_all(self._sink_fd, self._lame.encode(samples.tobytes()))

    @override
    def finish(self) -> None:
        write_all(self._sink_fd, self._lame.flush())


class WavEncoder(Encoder):
    """The header has the placeholder sizes of a stream; `repaired_head` has the real ones."""

    def __init__(self, sink_fd: int, sample_rate_hertz: int, wav_encoding: str) -> None:
        self._sink_fd = sink_fd
        self._encoding = wav_encoding
        write_all(sink_fd, wav_header(sample_rate_hertz, wav_encoding))

    @override
    def encode(self, samples: NDArray[np.int16]) -> None:
        if self._encoding == "linear16":
            data = samples.astype("<i2", copy=False).tobytes()
        else:
            data = encode_g711(samples, self._encoding)
        write_all(self._sink_fd, data)

    @override
    def finish(self) -> None:
        pass


class LibraryEncoder(Encoder):
    """Formats that libsndfile writes: Vorbis and Opus in Ogg, and FLAC.

    The header of a FLAC has neither checksum nor length; `repaired_head` has the real length.
    """

    _KINDS: Mapping[AudioFormat, tuple[str, str]] = {
        AudioFormat.OGG: ("OGG", "VORBIS"),
        AudioFormat.OPUS: ("OGG", "OPUS"),
        AudioFormat.FLAC: ("FLAC", "PCM_16"),
    }

    def __init__(self, target: AudioFormat, sink_fd: int, rate: int) -> None:
        container, codec = self._KINDS[target]
        self._sink = _ForwardOnly(sink_fd)
        self._file = soundfile.SoundFile(self._sink, "w", rate, 1, codec, format=container)
        self.overshoot_db = 0.0 if target is AudioFormat.FLAC else 1.0

    @override
    def encode(self, samples: NDArray[np.int16]) -> None:
        self._file.write(samples)
        self._sink.check()

    @override
    def finish(self) -> None:
        self._file.close()
        self._sink.check()


class _ForwardOnly:
    """A pipe with the interface of a file. Writes over bytes that are already sent are dropped.

    libsndfile calls it, so its methods must not raise.
    """

    def __init__(self, sink_fd: int) -> None:
        self._sink_fd = sink_fd
        self._place = 0
        self._size = 0
        self._is_broken = False

    def check(self) -> None:
        """Raise BrokenPipeError if the reader is gone."""
        if self._is_broken:
            raise BrokenPipeError

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position of the next write."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        """Return the position of the next write."""
        return self._place

    def write(self, data: bytes) -> int:
        """Write the part that is not sent yet."""
        if self._place == self._size and not self._is_broken:
            try:
                write_all(self._sink_fd, data)
            except BrokenPipeError:
                self._is_broken = True
            self._size += len(data)
        self._place += len(data)
        return len(data)


def open_encoder(
    target: AudioFormat, sink_fd: int, rate: int, kilobits_per_s: int, wav_encoding: str
) -> Encoder:
    """Return an encoder of mono audio with this sample rate. The target is one of jobs.TARGETS."""
    if target is AudioFormat.MP3:
        return Mp3Encoder(sink_fd, rate, kilobits_per_s)
    if target is AudioFormat.WAV:
        return WavEncoder(sink_fd, rate, wav_encoding)
    return LibraryEncoder(target, sink_fd, rate)


def write_all(sink_fd: int, data: bytes | bytearray) -> None:
    """Write all bytes, however few the pipe takes at a time.

    Raises:
        BrokenPipeError: the reader is gone.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(sink_fd, rest) :]


def wav_header(rate: int, wav_encoding: str) -> bytes:
    """Return the header of a mono stream of unknown length.

    Source: Microsoft, Multimedia Data Standards Update: formats except PCM have a fact chunk.
    """
    width = 2 if wav_encoding == "linear16" else 1
    code = _WAV_CODES[wav_encoding]
    shape = struct.pack("<HHIIHH", code, 1, rate, rate * width, width, width * 8)
    if code == 1:
        chunks = struct.pack("<4sI", b"fmt ", len(shape)) + shape
    else:
        extended = shape + struct.pack("<H", 0)
        chunks = struct.pack("<4sI", b"fmt ", len(extended)) + extended
        chunks += struct.pack("<4sII", b"fact", 4, _UNKNOWN_SIZE)
    start = struct.pack("<4sI4s", b"RIFF", _UNKNOWN_SIZE, b"WAVE")
    return start + chunks + struct.pack("<4sI", b"data", _UNKNOWN_SIZE)
