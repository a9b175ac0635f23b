"""Decoding from a pipe, block by block.

Theory of operation. This module reads PCM and G.711, the common case, without a parser in C;
libsndfile reads all other formats. It takes mp3, Ogg and AU directly from the pipe. It needs to
seek back in other formats, so it reads them through a window on the pipe (`Rewindable`).
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
import soundfile
from numpy.typing import NDArray
from typing_extensions import override

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inprocess.rewindable import Rewindable
from kazoo_media.audio.inprocess.samples import SampleReader, reader_of
from kazoo_media.audio.inspect.plausibility import implausible
from kazoo_media.audio.inspect.wav import WavHeader, plain_head
from kazoo_media.audio.inspect.wav_walk import WavWalk
from kazoo_media.audio.jobs import NO_AUDIO
from kazoo_media.audio.presets import LONGEST_S

Block = NDArray[np.float32]
"""Samples of one piece of audio: shape (frames, channels), full scale is 1.0."""

_READ_BYTES = 64 * 1024
_PIECE_BYTES = 128 * 1024  # fits into the cache together with intermediate results
_WORTH_S = 2
_BLOCK_SAMPLES = 32 * 1024
_RAW_RATE = 8000
_GSM_BYTES, _GSM_SAMPLES = 33, 160
_STREAM_BYTES = (
    1 << 29
)  # longer than LONGEST_S; more would overflow where libsndfile counts samples
_TOO_EARLY = "the input is shorter than its header says"
_WINDOWED = frozenset({AudioFormat.FLAC, AudioFormat.AIFF, AudioFormat.CAF})


class UndecodableError(ValueError):
    """The input cannot be decoded to its end; the text says why, for a person."""


class Decoder(ABC):
    """Decodes audio from a pipe.

    Attributes:
        sample_rate_hertz: Rate of the input.
        channel_count: Channels of the input.
        highest: Largest sample of the format; lossy formats may exceed 1.0.
    """

    sample_rate_hertz: int
    channel_count: int
    highest: float

    def blocks(self) -> Iterator[Block]:
        """Yield all audio up to the end of the input.

        Raises:
            UndecodableError: the input is broken, truncated, or longer than LONGEST_S.
        """
        most, frames = LONGEST_S * self.sample_rate_hertz, 0
        for block in self._decoded():
            frames += len(block)
            if frames > most:
                raise UndecodableError(f"it is longer than the limit of {LONGEST_S} s")
            yield block
        if not frames:
            raise UndecodableError(NO_AUDIO)

    @abstractmethod
    def _decoded(self) -> Iterator[Block]:
        """Yield all audio; ends with the input."""

    def _check(self, declared_frames: int) -> None:
        rate = self.sample_rate_hertz
        problem = implausible(rate, self.channel_count)
        if problem is not None:
            raise UndecodableError(problem)
        if declared_frames > LONGEST_S * rate:
            seconds = declared_frames // rate
            raise UndecodableError(f"its header claims {seconds} s, the limit is {LONGEST_S} s")


def open_decoder(source: AudioFormat, source_fd: int, *, ignore_length: bool) -> Decoder:
    """Return a decoder that has read as far as the header.

    Raises:
        UndecodableError: the input has another format than `source`, or is not supported.
    """
    if source is AudioFormat.WAV:
        return _open_wav(source_fd, ignore_length=ignore_length)
    if source is AudioFormat.PCMU:
        return _Plain(source_fd, b"", reader_of(7, 8, 1), _RAW_RATE, 1)
    if source is AudioFormat.PCMA:
        return _Plain(source_fd, b"", reader_of(6, 8, 1), _RAW_RATE, 1)
    if source is AudioFormat.GSM:
        raw = (_RAW_RATE, 1, "GSM610", None, "RAW")
        window = Rewindable(source_fd, b"")
        return _BlockCodec(window, _frames_of_gsm, raw)
    return _Library(Rewindable(source_fd, b"") if source in _WINDOWED else source_fd)


def _open_wav(source_fd: int, *, ignore_length: bool) -> Decoder:
    walk = WavWalk()
    data = kept = b""
    total_bytes = 0
    while walk.header is None:
        data = os.read(source_fd, _READ_BYTES)
        kept = walk.kept(data)
        total_bytes += len(data)
        if walk.problem is None and not data:
            raise UndecodableError("the input ends within its WAV header")
        if walk.problem is not None:
            raise UndecodableError(walk.problem)
    header = walk.header
    try:
        width, odd = divmod(header.block_align, header.channel_count)
        order = header.byte_order
        reader = reader_of(header.format_code, header.bits, 0 if odd else width, order)
    except LookupError:
        rest = data[len(data) - (total_bytes - header.data_offset) :]
        return _open_coded_wav(source_fd, rest, header, ignore_length=ignore_length)
    return _Wav(source_fd, walk, kept[len(kept) - walk.audio_bytes :], header, reader)


def _open_coded_wav(
    source_fd: int, audio: bytes, header: WavHeader, *, ignore_length: bool
) -> Decoder:
    has_length = header.size_is_sane and not header.size_is_doubtful and not ignore_length
    # libsndfile would read a long header through a window that is too small.
    size = header.declared_bytes if has_length else _STREAM_BYTES
    head = plain_head(header.fmt, header.byte_order, size)
    source = Rewindable(source_fd, head + audio)
    if not header.block_samples:
        return _Library(source, has_length=has_length)

    def frames_in(total_bytes: int) -> int:
        blocks = max(0, total_bytes - len(head)) // header.block_align
        return blocks * (header.block_samples or 0)

    # libsndfile takes an odd byte after the last block for another block.
    declared_frames = frames_in(len(head) + size) if has_length else 0
    return _BlockCodec(source, frames_in, declared_frames=declared_frames)


def _frames_of_gsm(total_bytes: int) -> int:
    return total_bytes // _GSM_BYTES * _GSM_SAMPLES


class _Plain(Decoder):
    """Interleaved samples without a header."""

    def __init__(
        self, source_fd: int, head: bytes, reader: SampleReader, rate: int, channels: int
    ) -> None:
        self._source_fd = source_fd
        self._rest = head
        self._reader = reader
        self.sample_rate_hertz, self.channel_count = rate, channels
        self.highest = reader.highest
        self._frame_bytes = reader.width * channels
        # Less is inefficient, more would delay the audio of a slow upload.
        self._worth_bytes = min(_PIECE_BYTES, _WORTH_S * rate * self._frame_bytes)

    @override
    def _decoded(self) -> Iterator[Block]:
        while data := self._read():
            yield self._reader.read(data).reshape(-1, self.channel_count)

    def _read(self) -> bytes:
        """Return whole frames, at least `_worth_bytes` except at the end of the input."""
        data = self._rest or self._more()
        while len(data) < self._worth_bytes and (more := self._more()):
            data += more
        whole = len(data) - len(data) % self._frame_bytes
        self._rest = data[whole:]
        return data[:whole] if self._rest else data

    def _more(self) -> bytes:
        """Return the next bytes of the audio, empty at its end."""
        return os.read(self._source_fd, _PIECE_BYTES)


class _Wav(_Plain):
    """PCM or G.711 after a header whose sizes are right, wrong or unknown."""

    def __init__(
        self,
        source_fd: int,
        walk: WavWalk,
        audio: bytes,
        header: WavHeader,
        reader: SampleReader,
    ) -> None:
        self._walk = walk
        rate, channels = header.sample_rate_hertz, header.channel_count
        super().__init__(source_fd, audio, reader, rate, channels)
        is_certain = header.size_is_sane and not header.size_is_doubtful
        self._check(header.declared_bytes // self._frame_bytes if is_certain else 0)

    @override
    def _decoded(self) -> Iterator[Block]:
        yield from super()._decoded()
        if self._walk.missing_bytes >= self._frame_bytes:
            raise UndecodableError(_TOO_EARLY)

    @override
    def _more(self) -> bytes:
        while data := os.read(self._source_fd, _PIECE_BYTES):
            if audio := self._walk.kept(data):
                return audio
        return b""


class _Library(Decoder):
    """Formats that libsndfile decodes."""

    def __init__(
        self, source: int | Rewindable, raw: tuple[object, ...] = (), *, has_length: bool = True
    ) -> None:
        try:
            self._file = _Pipe(source, "r", *raw, closefd=False)
        except soundfile.LibsndfileError as error:
            raise UndecodableError(_reason(error)) from error
        self.sample_rate_hertz = self._file.samplerate
        self.channel_count = self._file.channels
        self.highest = _HIGHEST.get(self._file.subtype, 1.0)
        is_known = has_length and self._file.frames < _UNKNOWN_FRAMES
        self._declared = self._file.frames if is_known else 0
        self._check(self._declared)

    @override
    def _decoded(self) -> Iterator[Block]:
        decoded = 0
        while len(block := self._read()):
            decoded += len(block)
            yield block
        if decoded < self._declared:
            raise UndecodableError(_TOO_EARLY)

    def _read(self) -> Block:
        size = max(1, _BLOCK_SAMPLES // self.channel_count)
        try:
            block: Block = self._file.read(size, "float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise UndecodableError(_reason(error)) from error
        return block


class _BlockCodec(_Library):
    """GSM and ADPCM: after the end of the input libsndfile returns silence for ever."""

    def __init__(
        self,
        source: Rewindable,
        frames_in: Callable[[int], int],
        raw: tuple[object, ...] = (),
        *,
        declared_frames: int = 0,
    ) -> None:
        super().__init__(source, raw, has_length=False)
        self._declared = declared_frames
        self._check(declared_frames)
        self._source = source
        self._frames_in = frames_in

    @override
    def _decoded(self) -> Iterator[Block]:
        decoded = 0
        while len(block := self._read()):
            if self._source.ended:
                block = block[: max(0, self._frames_in(self._source.total_bytes) - decoded)]
            decoded += len(block)
            yield block
            if self._source.ended:
                break
        if decoded < self._declared:
            raise UndecodableError(_TOO_EARLY)


_HIGHEST = {"PCM_S8": 127 / 128, "PCM_16": 32767 / 32768, "PCM_24": 8388607 / 8388608}
_UNKNOWN_FRAMES = 1 << 48  # a pipe has SF_COUNT_MAX, a window on it something large


class _Pipe(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read once, forwards: soundfile would query its position before each read."""

    @override
    def seekable(self) -> bool:
        return False


def _reason(error: soundfile.LibsndfileError) -> str:
    text = error.error_string.removeprefix("Error : ").rstrip(". ")
    return f"it cannot be decoded: {text}"
