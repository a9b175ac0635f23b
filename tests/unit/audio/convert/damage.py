"""Files that are broken in the ways that files are."""

from __future__ import annotations

import random
import struct

from tests.support.audio_samples import encoded, noise, tone, with_data_size


def cut(data: bytes, kept: float) -> bytes:
    return data[: int(len(data) * kept)]


def zeroed(data: bytes, start: float, end: float) -> bytes:
    first, last = int(len(data) * start), int(len(data) * end)
    return data[:first] + bytes(last - first) + data[last:]


def scrambled(data: bytes, start: float, end: float) -> bytes:
    first, last = int(len(data) * start), int(len(data) * end)
    return data[:first] + random.Random(first).randbytes(last - first) + data[last:]


def corrupted(data: bytes, share: float, *, spare: int = 400) -> bytes:
    """Return the data with that share of its bytes changed, but none of the first ones."""
    randomness, changed = random.Random(len(data)), bytearray(data)
    for at in randomness.sample(range(spare, len(data)), int((len(data) - spare) * share)):
        changed[at] ^= randomness.randrange(1, 256)
    return bytes(changed)


def wav_with(wav: bytes, **fields: int) -> bytes:
    """Return a WAV with other values in its fmt chunk."""
    layouts = {
        "code": ("<H", 20),
        "channels": ("<H", 22),
        "rate": ("<I", 24),
        "block_align": ("<H", 32),
        "bits": ("<H", 34),
    }
    changed = bytearray(wav)
    for name, value in fields.items():
        layout, at = layouts[name]
        struct.pack_into(layout, changed, at, value)
    return bytes(changed)


def au_with(au: bytes, *, rate: int, channels: int = 1) -> bytes:
    return au[:16] + struct.pack(">II", rate, channels) + au[24:]


def flac_with(flac: bytes, *, rate: int) -> bytes:
    packed = int.from_bytes(flac[18:26], "big") & (1 << 44) - 1
    return flac[:18] + (rate << 44 | packed).to_bytes(8, "big") + flac[26:]


def ogg_with(ogg: bytes, *, rate: int) -> bytes:
    """Return an Ogg Vorbis of another rate, with a checksum that is right."""
    at = ogg.index(b"\x01vorbis") + 12
    end = ogg.index(b"OggS", 4)
    page = bytearray(ogg[:at] + struct.pack("<I", rate) + ogg[at + 4 : end])
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", _ogg_crc(bytes(page)))
    return bytes(page) + ogg[end:]


def ogg_until(ogg: bytes, granule: int) -> bytes:
    """Return an Ogg whose last page says that it ends there, with a checksum that is right."""
    at = ogg.rindex(b"OggS")
    page = bytearray(ogg[at:])
    page[6:14] = struct.pack("<q", granule)
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", _ogg_crc(bytes(page)))
    return ogg[:at] + bytes(page)


def ogg_unmarked(ogg: bytes) -> bytes:
    """Return an Ogg as a stopped recorder leaves it: no page is marked as the last."""
    at = ogg.rindex(b"OggS")
    page = bytearray(ogg[at:])
    page[5] &= ~4
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", _ogg_crc(bytes(page)))
    return ogg[:at] + bytes(page)


def _ogg_crc(page: bytes) -> int:
    crc = 0
    for each in page:
        crc ^= each << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 1 << 31 else crc << 1) & 0xFFFFFFFF
    return crc


def silent_flac(seconds: int, rate: int = 8000) -> bytes:
    """Return hours of digital silence in a few kB: frames of one constant each.

    Source: RFC 9639, 8.2 and 9.
    """
    block, header = 65_535, b"fLaC\x80\x00\x00\x22"
    frames = -(-seconds * rate // block)
    packed = rate << 44 | 15 << 36 | frames * block
    info = struct.pack(">HH", block, block) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    return header + info + b"".join(map(_silent_frame, range(frames)))


def _silent_frame(number: int) -> bytes:
    # Block size in 16 bits behind the number, rate of the stream, mono, 16 bits.
    start = b"\xff\xf8\x70\x08" + _coded(number) + struct.pack(">H", 65_534)
    frame = start + bytes([_crc(start, 0x07, 8)]) + b"\x00\x00\x00"
    return frame + struct.pack(">H", _crc(frame, 0x8005, 16))


def _coded(number: int) -> bytes:
    if number < 0x80:
        return bytes([number])
    if number < 0x800:
        return bytes([0xC0 | number >> 6, 0x80 | number & 0x3F])
    return bytes([0xE0 | number >> 12, 0x80 | number >> 6 & 0x3F, 0x80 | number & 0x3F])


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    crc, top, mask = 0, 1 << bits - 1, (1 << bits) - 1
    for each in data:
        crc ^= each << bits - 8
        for _ in range(8):
            crc = (crc << 1 ^ polynomial if crc & top else crc << 1) & mask
    return crc


def id3(size: int) -> bytes:
    """Return an ID3v2 tag with that many bytes of a picture in it."""
    lengths = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + lengths + random.Random(size).randbytes(size)


def ape(size: int) -> bytes:
    """Return an APEv2 tag with that many bytes of items in it."""
    header = b"APETAGEX" + struct.pack("<IIII8x", 2000, size, 1, 1 << 31)
    return header + random.Random(size).randbytes(size)


NOISE = noise(5.0)
NOISE_MP3 = encoded(NOISE, "mp3")
NOISE_OGG = encoded(NOISE, "ogg")
NOISE_FLAC = encoded(NOISE, "flac")
NOISE_AU = encoded(NOISE, "au")
NOISE_AMR = encoded(NOISE, "amr-nb")
TONE = tone(2.0)
CLAIMING = with_data_size(TONE, 0x7000_0000)[: 44 + 1999]  # it ends within a frame
