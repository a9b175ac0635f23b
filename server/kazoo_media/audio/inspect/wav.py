"""The header of a WAV file: read from a stream, judged, and repaired.

Source: RFC 2361; Microsoft, Multiple Channel Audio Data and WAVE Files; EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from kazoo_media.audio.inspect.plausibility import implausible

LARGEST_HEADER_BYTES = 64 * 1024
"""The audio must begin within this many bytes."""

CHUNK_HEAD_BYTES = 8
"""A chunk begins with its name and its size."""

_LARGEST_SANE_SIZE = 0x7FFFF000  # what sox writes into a pipe; other tools: 0x7fffffff, 0xffffffff
_LARGEST_CERTAIN_SIZE = 1 << 30
_LONGEST_CERTAIN_MS = 3_600_000
_LARGEST_SIZE = 0xFFFFFFFF
_LONGEST_BODY = 40  # of an extensible fmt chunk
_EXTENSIBLE = 0xFFFE
_SAMPLES_IN_EXTENSION = frozenset({0x0002, 0x0011})  # MS and IMA ADPCM
_GSM = 0x0031
_GSM_SAMPLES = 320
_PCM, _FLOAT = 0x0001, 0x0003
_CODECS: Mapping[int, str] = {
    0x0002: "ms-adpcm",
    0x0006: "alaw",
    0x0007: "mulaw",
    0x0011: "ima-adpcm",
    0x0031: "gsm",
    0x0055: "mp3",
}
_ONE_SAMPLE_BLOCKS = frozenset({0x0001, 0x0003, 0x0006, 0x0007})  # PCM, float, A-law, mu-law


@dataclass(frozen=True, slots=True)
class WavHeader:
    """The header before the audio.

    Attributes:
        format_code: The registered code; for an extensible header the code that it extends.
        bits: Bits per sample; 0 or 4 in compressed formats.
        block_samples: Samples of one channel in `block_align` bytes; None if that varies.
        data_offset: Start of the audio in bytes.
        declared_bytes: Size of the audio by the header, true or not.
        file_bytes: Size of the file by the header, true or not.
        byte_order: "<" or ">", as `struct` has it.
    """

    format_code: int
    channel_count: int
    sample_rate_hertz: int
    bits: int
    block_align: int
    block_samples: int | None
    data_offset: int
    declared_bytes: int
    file_bytes: int
    byte_order: str

    @property
    def size_is_sane(self) -> bool:
        """Return whether the declared size is neither 0 nor a placeholder that streams write."""
        return 0 < self.declared_bytes < _LARGEST_SANE_SIZE

    @property
    def size_is_doubtful(self) -> bool:
        """Return whether the declared size may be a placeholder: over 1 GiB, or over an hour.

        Speech engines that stream write 2,000,000,000 or 0x70000000.
        """
        duration_ms = self.duration_ms(self.declared_bytes) or 0
        return self.declared_bytes > _LARGEST_CERTAIN_SIZE or duration_ms > _LONGEST_CERTAIN_MS

    @property
    def file_size_is_sane(self) -> bool:
        """Return whether the file, by its declared size, ends at or after the header."""
        return self.data_offset <= self.file_bytes < _LARGEST_SANE_SIZE

    @property
    def whole_bytes(self) -> int:
        """Return the declared size of the audio without an incomplete block at its end."""
        return self.declared_bytes - self.declared_bytes % max(1, self.block_align)

    @property
    def same_audio(self) -> tuple[object, ...]:
        """Return what is equal if the audio of two files can be joined."""
        samples = self.format_code, self.bits, self.block_align, self.block_samples
        return *samples, self.channel_count, self.sample_rate_hertz, self.byte_order

    @property
    def codec(self) -> str | None:
        """Return the sample encoding in lower case, or None if it is unknown."""
        if self.format_code in (_PCM, _FLOAT):
            return f"{'linear' if self.format_code == _PCM else 'float'}{self.bits}"
        return _CODECS.get(self.format_code)

    @property
    def problem(self) -> str | None:
        """Return why this file must not be converted, or None."""
        problem = implausible(self.sample_rate_hertz, self.channel_count)
        if problem is not None:
            return problem
        if self.format_code in _ONE_SAMPLE_BLOCKS and not 8 <= self.bits <= 32:
            return f"samples of {self.bits} bits are not supported"
        if self.block_align == 0:
            return "the WAV header has a block size of 0"
        return None

    def duration_ms(self, data_bytes: int) -> int | None:
        """Return the duration of this many bytes of audio; None if the format does not tell."""
        if not self.block_samples or not self.block_align or not self.sample_rate_hertz:
            return None
        samples = data_bytes // self.block_align * self.block_samples
        return round(samples * 1000 / self.sample_rate_hertz)


def parse_wav_header(prefix: bytes | bytearray) -> WavHeader | None:
    """Return the header of the file that begins with `prefix`; None: more bytes are needed.

    Raises:
        ValueError: this is not a WAV file, or no audio begins within LARGEST_HEADER_BYTES.
    """
    if len(prefix) < 12:
        return None
    if not begins_wav(prefix):
        raise ValueError("no RIFF/WAVE header")
    order = ">" if prefix[:4] == b"RIFX" else "<"
    found: dict[bytes, bytes] = {b"RIFF": bytes(prefix[4:8])}
    at = 12
    while at <= LARGEST_HEADER_BYTES:
        if len(prefix) < at + 8:
            return None
        name, size = struct.unpack_from(order + "4sI", prefix, at)
        if name == b"data":
            return _header(found, order, at + 8, size)
        if name in (b"fmt ", b"ds64"):
            body = prefix[at + 8 : at + 8 + min(size, _LONGEST_BODY)]
            if len(body) < min(size, _LONGEST_BODY):
                return None
            found[name] = bytes(body)
        at += 8 + size + (size & 1)
    raise ValueError(f"no audio within the first {LARGEST_HEADER_BYTES} bytes of the WAV file")


def _header(
    found: Mapping[bytes, bytes], order: str, data_offset: int, data_bytes: int
) -> WavHeader:
    chunk, sizes = found.get(b"fmt ", b""), found.get(b"ds64", b"")
    if len(chunk) < 16:
        raise ValueError("the WAV header has no complete fmt chunk before its data")
    file_bytes = struct.unpack(order + "I", found[b"RIFF"])[0] + CHUNK_HEAD_BYTES
    if data_bytes == _LARGEST_SIZE and len(sizes) >= 16:
        file_bytes, data_bytes = struct.unpack_from("<QQ", sizes)
        file_bytes += CHUNK_HEAD_BYTES
    code, channels, rate, _, align, bits = struct.unpack_from(order + "HHIIHH", chunk)
    if code == _EXTENSIBLE and len(chunk) >= 26:
        code = struct.unpack_from(order + "H", chunk, 24)[0]
    block_samples: int | None = None
    if code in _ONE_SAMPLE_BLOCKS:
        block_samples = 1
    elif code == _GSM:
        block_samples = _GSM_SAMPLES
    elif code in _SAMPLES_IN_EXTENSION and len(chunk) >= 20:
        block_samples = struct.unpack_from(order + "H", chunk, 18)[0]
    return WavHeader(
        code,
        channels,
        rate,
        bits,
        align,
        block_samples,
        data_offset,
        data_bytes,
        file_bytes,
        order,
    )


def ignore_length_needed(header: WavHeader) -> bool:
    """Return whether sox must ignore the length in the header and read to the end.

    With a size of 0 sox would succeed without any audio; with the placeholder of a stream it would
    warn and play a trailing chunk as noise. A size that is too small cannot be detected at the
    start: WavWalk detects it at the end.
    """
    return not header.size_is_sane


def begins_wav(data: bytes | bytearray) -> bool:
    """Return whether a WAV file begins with these bytes, at least 12."""
    return data[:4] in (b"RIFF", b"RIFX", b"RF64") and data[8:12] == b"WAVE"


def repaired_head(head: bytes, total_bytes: int) -> bytes:
    """Return `head` with the sizes of a file of `total_bytes`.

    RIFF, data and fact sizes are set; sizes over 32 bits become 0xffffffff. The length of the head
    stays. Anything that is not a complete little-endian WAV header is returned unchanged.
    """
    try:
        header = parse_wav_header(head)
    except ValueError:
        return head
    if header is None or head[:4] != b"RIFF":
        return head
    data_bytes = max(0, total_bytes - header.data_offset)
    if header.block_align:
        data_bytes -= data_bytes % header.block_align  # the pad byte after an odd size
    fixed = bytearray(head)
    struct.pack_into("<I", fixed, 4, min(max(0, total_bytes - 8), _LARGEST_SIZE))
    struct.pack_into("<I", fixed, header.data_offset - 4, min(data_bytes, _LARGEST_SIZE))
    fact_at = _chunk_offset(head, b"fact", header.data_offset)
    if fact_at is not None and header.block_samples and header.block_align:
        samples = data_bytes // header.block_align * header.block_samples
        struct.pack_into("<I", fixed, fact_at + 8, min(samples, _LARGEST_SIZE))
    return bytes(fixed)


def _chunk_offset(head: bytes, wanted: bytes, end: int) -> int | None:
    at = 12
    while at + 12 <= end:
        name, size = struct.unpack_from("<4sI", head, at)
        if name == wanted and size >= 4:
            return at
        at += 8 + size + (size & 1)
    return None
