"""The audio of a WAV file that streams, and everything in the file that is not audio.

Theory of operation. A walker is in one of five states.

1. HEAD: it reads the header of a file, which may be long. Its sizes decide what follows.
2. AUDIO: the next `_left` bytes are audio; without a declared size all bytes are.
3. AFTER: the declared audio has ended. A chunk with a name may follow, or another WAV file that was
   joined to this one. If the RIFF size says that the file goes on and no chunk follows, the data
   size is impossible: the rest of the file is audio. Anything else is not audio.
4. CHUNK: the next `_left` bytes are a chunk that is not audio.
5. REST: nothing that follows is audio. The walker gives up here after _MOST_PARTS chunks and files:
   hostile bytes could have one every 8 bytes, and the event loop would wait.
"""

from __future__ import annotations

import enum
import struct

from kazoo_media.audio.inspect.wav import (
    CHUNK_HEAD_BYTES,
    WavHeader,
    WavHeaderReader,
    begins_wav,
    plain_head,
)

_ENDLESS = 1 << 62
_UNKNOWN_SIZE = 0xFFFFFFFF
_SLACK_BYTES = 64  # tools forget to subtract headers from the RIFF size
_FILE_HEAD_BYTES = 12
_MOST_PARTS = 1000


class _State(enum.Enum):
    HEAD = enum.auto()
    AUDIO = enum.auto()
    AFTER = enum.auto()
    CHUNK = enum.auto()
    REST = enum.auto()


class WavWalk:
    """Walks over a WAV file, in constant memory.

    Attributes:
        header: The first header; None until it is complete, or if it is broken.
        problem: Why there is no such header, or why its audio must not be converted; None: neither.
        audio_bytes: Number of bytes of audio so far.
    """

    def __init__(self) -> None:
        self.header: WavHeader | None = None
        self.problem: str | None = None
        self.audio_bytes = 0
        self._reader = WavHeaderReader()
        self._header_bytes = 0  # of the present file
        self._left_out_bytes = 0
        self._state = _State.HEAD
        self._pending = b""
        self._lead = b""
        self._left = 0
        self._file_at = 0  # of the next byte, within its file
        self._chunk_bytes = 0
        self._current: WavHeader | None = None
        self._files = 1
        self._parts = 0
        self._other: WavHeader | None = None
        self._is_impossible = False

    def kept(self, chunk: bytes) -> bytes:
        """Return the parts of the next bytes that are audio, after a plain header before the first.

        Readers must ignore the size in that header.
        """
        if self._state is _State.AUDIO and len(chunk) <= self._left:
            self._count_audio(len(chunk))
            return chunk
        data, self._pending = self._pending + chunk, b""
        pieces: list[bytes] = []
        at = 0
        while at < len(data):
            step = self._step(data, at)
            if step is None:
                self._pending = data[at:]
                break
            length, is_kept = step
            if is_kept:
                pieces.append(data[at : at + length])
            at += length
        lead, self._lead = self._lead, b""
        return lead + b"".join(pieces)

    @property
    def hides_audio(self) -> bool:
        """Return whether audio follows the end that the first header declares."""
        header = self.header
        return header is not None and header.size_is_sane and self.audio_bytes > header.whole_bytes

    @property
    def missing_bytes(self) -> int:
        """Return how much of the declared audio has not come; 0 if its size is unknown."""
        return 0 if self._is_placeholder else self._awaited_bytes

    @property
    def _awaited_bytes(self) -> int:
        if self._state is not _State.AUDIO or self._is_impossible or self._left > _ENDLESS // 2:
            return 0
        return self._left

    @property
    def _is_placeholder(self) -> bool:
        """Return whether a doubtful size would be a placeholder if the file ended here."""
        header, awaited_bytes = self._current, self._awaited_bytes
        if header is None or not awaited_bytes or not header.size_is_doubtful:
            return False
        return awaited_bytes < header.whole_bytes and awaited_bytes % header.block_align == 0

    @property
    def left_out_bytes(self) -> int:
        """Return how many bytes that are neither audio nor chunks have followed the audio."""
        # What does not end within the file is not a chunk.
        is_cut = self._state is _State.CHUNK and self._left > 0
        cut = self._chunk_bytes if is_cut else 0
        waits = self._state is _State.AFTER and not _is_name(self._pending[:4])
        waiting = len(self._pending) if waits else 0
        left_out = self._left_out_bytes + cut + waiting
        return left_out if left_out >= CHUNK_HEAD_BYTES else 0

    def warnings(self) -> tuple[str, ...]:
        """Return remarks for a person about sizes that are wrong and about what follows."""
        found: list[str] = []
        header = self.header
        if header is not None and header.declared_bytes == 0 and self.audio_bytes:
            found.append("the WAV header declares no audio: the file was read to its end")
        if header is not None and self._is_placeholder:
            declared_ms = header.duration_ms(header.declared_bytes) or 0
            found.append(
                f"the WAV header declares {declared_ms // 1000} s, which is taken for a"
                " placeholder: the file was read to its end"
            )
        if self._is_impossible:
            found.append("the WAV header declares less audio than the file has: all was read")
        if self._files > 1:
            found.append(f"the input is {self._files} WAV files in one: all were read")
        left_out = self.left_out_bytes
        if header is not None and left_out:
            what = f"{left_out} bytes after the declared end of the WAV were left out"
            other = self._other
            if other is not None:
                duration_ms = other.duration_ms(other.declared_bytes) or 0
                what += (
                    f": another WAV of {duration_ms / 1000:.1f} s with {other.channel_count}"
                    f" channels at {other.sample_rate_hertz} Hz in {other.codec or 'an unknown'}"
                    " encoding"
                )
            found.append(what)
        return tuple(found)

    def _count_audio(self, length: int) -> None:
        self._left -= length
        self._file_at += length
        self.audio_bytes += length

    def _step(self, data: bytes, at: int) -> tuple[int, bool] | None:
        """Return the length of the next piece and whether to keep it; None: more is needed."""
        if self._state is _State.REST:
            self._left_out_bytes += len(data) - at
            return len(data) - at, False
        header = self._current
        if self._state is _State.HEAD or header is None:
            return self._head(data, at)
        if self._left == 0 or self._state is _State.AFTER:
            self._state = _State.AFTER
            return self._after(header, data, at)
        length = min(self._left, len(data) - at)
        if self._state is _State.AUDIO:
            self._count_audio(length)
            return length, True
        self._left -= length
        self._file_at += length
        self._chunk_bytes += length
        return length, False

    def _head(self, data: bytes, at: int) -> tuple[int, bool] | None:
        is_first = self.header is None
        try:
            length = self._reader.read(data, at) - at
        except ValueError as error:
            self._state = _State.REST
            if is_first:
                self.problem = str(error)
            else:
                self._left_out_bytes += self._header_bytes
            return 0, False
        self._header_bytes += length
        self._parts += self._reader.chunks if self._reader.header else 0
        header, self._current = self._reader.header, self._reader.header
        if header is None:
            return (length, False) if length else None
        if is_first:
            self.header, self.problem = header, header.problem
            self._lead = plain_head(header.plain_fmt, header.byte_order, _UNKNOWN_SIZE)
        elif self.header is not None and header.same_audio != self.header.same_audio:
            self._state, self._other = _State.REST, header
            self._left_out_bytes += header.data_offset
            return length, False
        else:
            self._files += 1
        self._file_at, self._chunk_bytes = header.data_offset, 0
        self._state = _State.AUDIO
        if header.declared_bytes == 0:
            self._state = _State.AFTER
        elif header.size_is_sane:
            self._left = header.whole_bytes
        else:
            self._left = _ENDLESS
        return length, False

    def _after(self, header: WavHeader, data: bytes, at: int) -> tuple[int, bool] | None:
        """Judge what follows the declared audio or a chunk."""
        self._parts += 1
        if self._parts > _MOST_PARTS:
            self._state = _State.REST
            return 0, False
        declared_end = header.data_offset + header.declared_bytes
        unaligned = max(0, declared_end - self._file_at)
        padded = unaligned + (header.declared_bytes & 1 if self._file_at <= declared_end else 0)
        if len(data) < at + padded + _FILE_HEAD_BYTES:
            return None
        for offset in {unaligned, padded}:
            if begins_wav(data[at + offset : at + offset + _FILE_HEAD_BYTES]):
                self._state = _State.HEAD
                self._reader, self._header_bytes = WavHeaderReader(), 0
                return offset, False
        name, size = struct.unpack_from(header.byte_order + "4sI", data, at + padded)
        length = padded + CHUNK_HEAD_BYTES + size + (size & 1)
        in_file = header.file_bytes - self._file_at
        goes_on = header.file_size_is_sane and in_file > _SLACK_BYTES
        fits = header.file_size_is_sane and length <= in_file + 1
        follows_chunk, self._chunk_bytes = self._chunk_bytes > 0, 0
        if _is_name(name) and (fits or (header.declared_bytes and not goes_on)):
            self._state, self._left = _State.CHUNK, length
        elif not header.declared_bytes and not follows_chunk:
            self._state, self._left = _State.AUDIO, _ENDLESS
        elif goes_on and not follows_chunk:
            self._state, self._left, self._is_impossible = _State.AUDIO, in_file, True
        else:
            self._state = _State.REST
        return 0, False


def _is_name(name: bytes) -> bool:
    return all(0x20 <= each < 0x7F for each in name)
