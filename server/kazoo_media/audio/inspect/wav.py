"""The header of a WAV file: read from a stream, judged, and repaired.

Source: RFC 2361; Microsoft, Multiple Channel Audio Data and WAVE Files; EBU Tech 3306
(RF64); ITU-R BS.2088 (BW64).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from kazoo_media.audio.inspect.plausibility import implausible

LARGEST_HEADER_BYTES = 16 * 1024 * 1024
"""The audio must begin within this many bytes: field recorders write pictures before it."""

RIFF_NAMES = (b"RIFF", b"RIFX", b"RF64", b"BW64")
"""The first bytes of a WAV; the last two have 64-bit sizes."""

CHUNK_HEAD_BYTES = 8
"""A chunk begins with its name and its size."""

_LARGEST_SANE_SIZE = 0x7FFFF000  # what sox writes into a pipe; other tools: 0x7fffffff, 0xffffffff
_LARGEST_CERTAIN_SIZE = 1 << 30
_LONGEST_CERTAIN_MS = 3_600_000
_LARGEST_SIZE = 0xFFFFFFFF
_LONGEST_BODY = 128  # an extensible fmt chunk has 40 bytes, that of MS ADPCM has 50
_MOST_CHUNKS = 1000  # hostile bytes could have one every 8 bytes, and the event loop would wait
_FILE_HEAD_BYTES = 12
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
    0x0045: "g726",
    0x0055: "mp3",
    0x0064: "g726",
    0x0065: "g722",
    0x028F: "g722",
}
_READ_BY_ALL = frozenset({0x0001, 0x0002, 0x0003, 0x0006, 0x0007, 0x0011, 0x0031})
_CODE_BITS: Mapping[str | None, int] = {"g722": 4, "g726": 4}  # of a sample; `bits` goes first
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
        fmt: The fmt chunk, without its name and size.
        is_long: Whether the sizes have 64 bits.
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
    fmt: bytes
    is_long: bool

    @property
    def is_padded(self) -> bool:
        """Return whether samples have fewer valid bits than they occupy; the others are 0."""
        return self.fmt != self.plain_fmt

    @property
    def plain_fmt(self) -> bytes:
        """Return the fmt chunk as if all bits were valid: sox reads no other padded samples."""
        is_extended = len(self.fmt) >= 40 and self.format_code in (_PCM, _FLOAT)
        if not is_extended:
            return self.fmt
        return self.fmt[:18] + struct.pack(self.byte_order + "H", self.bits) + self.fmt[20:]

    @property
    def is_common(self) -> bool:
        """Return whether sox and libsndfile read the encoding; ffmpeg reads many others."""
        return self.format_code in _READ_BY_ALL

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
        incomplete = self.declared_bytes % max(1, self.block_align) if self.block_samples else 0
        return self.declared_bytes - incomplete

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
        is_double = (self.format_code, self.bits) == (_FLOAT, 64)
        if self.format_code in _ONE_SAMPLE_BLOCKS and not (8 <= self.bits <= 32 or is_double):
            return f"samples of {self.bits} bits are not supported"
        if self.block_align == 0:
            return "the WAV header has a block size of 0"
        return None

    def duration_ms(self, data_bytes: int) -> int | None:
        """Return the duration of this many bytes of audio; None if the format does not tell."""
        if self.codec in _CODE_BITS and self.channel_count and self.sample_rate_hertz:
            bits = self.channel_count * (self.bits or _CODE_BITS[self.codec])
            return round(data_bytes * 8000 / bits / self.sample_rate_hertz)
        if not self.block_samples or not self.block_align or not self.sample_rate_hertz:
            return None
        samples = data_bytes // self.block_align * self.block_samples
        return round(samples * 1000 / self.sample_rate_hertz)


class WavHeaderReader:
    """Reads the header of a WAV that streams. It skips all chunks that do not tell the format.

    Attributes:
        header: None until it is complete.
        chunks: Number of chunks so far.
    """

    def __init__(self) -> None:
        self.header: WavHeader | None = None
        self.chunks = 0
        self._order = ""
        self._found: dict[bytes, bytes] = {}
        self._at = 0  # of the next byte, within the file
        self._skip = 0

    def read(self, data: bytes | bytearray, at: int) -> int:
        """Read on at `data[at]`; return where to continue, with more bytes if there is no header.

        Raises:
            ValueError: this is not a WAV file, or no audio begins within LARGEST_HEADER_BYTES.
        """
        while self.header is None:
            passed = min(self._skip, len(data) - at) if self._skip else self._element(data, at)
            if not passed:
                break
            self._skip = max(0, self._skip - passed)
            self._at += passed
            at += passed
        return at

    def _element(self, data: bytes | bytearray, at: int) -> int:
        """Read the head of the file or a chunk; return its length, 0: more bytes are needed."""
        if self._order:
            return self._chunk(data, at)
        if len(data) < at + _FILE_HEAD_BYTES:
            return 0
        if not begins_wav(data[at : at + _FILE_HEAD_BYTES]):
            raise ValueError("no RIFF/WAVE header")
        self._order = ">" if data[at : at + 4] == b"RIFX" else "<"
        self._found[b"RIFF"] = bytes(data[at + 4 : at + 8])
        return _FILE_HEAD_BYTES

    def _chunk(self, data: bytes | bytearray, at: int) -> int:
        if self._at > LARGEST_HEADER_BYTES or self.chunks > _MOST_CHUNKS:
            mib = LARGEST_HEADER_BYTES // 1024**2
            raise ValueError(f"no audio within the first {mib} MiB of the WAV file")
        if len(data) < at + CHUNK_HEAD_BYTES:
            return 0
        name, size = struct.unpack_from(self._order + "4sI", data, at)
        start = at + CHUNK_HEAD_BYTES
        if name == b"data":
            self.header = _header(self._found, self._order, self._at + CHUNK_HEAD_BYTES, size)
            return CHUNK_HEAD_BYTES
        if name in (b"fmt ", b"ds64"):
            body = bytes(data[start : start + min(size, _LONGEST_BODY)])
            if len(body) < min(size, _LONGEST_BODY):
                return 0
            self._found[name] = body
        self.chunks += 1
        self._skip = CHUNK_HEAD_BYTES + size + (size & 1)
        return min(self._skip, len(data) - at)


def parse_wav_header(prefix: bytes | bytearray) -> WavHeader | None:
    """Return the header of the file that begins with `prefix`; None: more bytes are needed.

    Raises:
        ValueError: this is not a WAV file, or no audio begins within LARGEST_HEADER_BYTES.
    """
    reader = WavHeaderReader()
    reader.read(prefix, 0)
    return reader.header


def _header(
    found: Mapping[bytes, bytes], order: str, data_offset: int, data_bytes: int
) -> WavHeader:
    chunk, sizes = found.get(b"fmt ", b""), found.get(b"ds64", b"")
    if len(chunk) < 16:
        raise ValueError("the WAV header has no complete fmt chunk before its data")
    file_bytes = struct.unpack(order + "I", found[b"RIFF"])[0] + CHUNK_HEAD_BYTES
    is_long = data_bytes == _LARGEST_SIZE and len(sizes) >= 16
    if is_long:
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
        chunk,
        is_long,
    )


def header_of_fmt(chunk: bytes) -> WavHeader:
    """Return a header with the format in a little-endian fmt chunk; its sizes are 0.

    Raises:
        ValueError: the chunk is too short.
    """
    return _header({b"RIFF": bytes(4), b"fmt ": chunk}, "<", 0, 0)


def plain_head(fmt: bytes, order: str, data_bytes: int) -> bytes:
    """Return a header with no chunk except the fmt chunk, for audio of this size, at most 4 GiB."""
    size = min(_LARGEST_SIZE, 4 + CHUNK_HEAD_BYTES + len(fmt) + CHUNK_HEAD_BYTES + data_bytes)
    name = b"RIFX" if order == ">" else b"RIFF"
    start = struct.pack(order + "4sI4s4sI", name, size, b"WAVE", b"fmt ", len(fmt))
    return start + fmt + struct.pack(order + "4sI", b"data", data_bytes)


def ignore_length_needed(header: WavHeader) -> bool:
    """Return whether sox must ignore the length in the header and read to the end.

    It does not know 64-bit sizes, nor samples with fewer valid bits than they occupy: then it gets
    another header.

    With a size of 0 sox would succeed without any audio; with the placeholder of a stream it would
    warn and play a trailing chunk as noise. A size that is too small cannot be detected at the
    start: WavWalk detects it at the end.
    """
    return not header.size_is_sane or header.is_long or header.is_padded


def begins_wav(data: bytes | bytearray) -> bool:
    """Return whether a WAV file begins with these bytes, at least 12."""
    return data[:4] in RIFF_NAMES and data[8:12] == b"WAVE"


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
