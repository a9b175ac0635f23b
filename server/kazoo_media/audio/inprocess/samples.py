"""Conversion of stored samples to numbers and back: PCM, float and G.711."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PCM, _FLOAT, _ALAW, _MULAW = 1, 3, 6, 7


@dataclass(frozen=True, slots=True)
class SampleReader:
    """Reads one kind of sample.

    Attributes:
        width: Bytes per sample.
        highest: The largest possible sample; full scale is 1.0.
    """

    width: int
    highest: float
    _kind: str
    _order: str

    def read(self, data: bytes) -> NDArray[np.float32]:
        """Return whole samples as numbers, full scale is 1.0."""
        if self._kind == "24":
            return _read_24(data, self._order)
        if self._kind in _G711:
            return _G711[self._kind][np.frombuffer(data, np.uint8)]
        samples = np.frombuffer(data, self._order + self._kind).astype(np.float32)
        if self._kind == "u1":
            samples -= 128
        if self._kind.startswith("f"):
            np.nan_to_num(samples, copy=False)
        else:
            samples *= np.float32(1 / (1 << (8 * self.width - 1)))
        return samples


def reader_of(format_code: int, bits: int, width: int, order: str = "<") -> SampleReader:
    """Return a reader of WAV samples with this code and these bits in `width` bytes.

    Raises:
        LookupError: such samples are not supported.
    """
    if format_code == _FLOAT and (bits, width) in ((32, 4), (64, 8)):
        return SampleReader(width, 1.0, f"f{width}", order)
    if format_code in (_ALAW, _MULAW) and width == 1:
        law = "alaw" if format_code == _ALAW else "mulaw"
        return SampleReader(1, float(_G711[law].max()), law, order)
    kinds = {1: "u1", 2: "i2", 3: "24", 4: "i4"}
    if format_code == _PCM and width in kinds and (bits + 7) // 8 == width:
        highest = float(np.float32(1 - 2.0 ** (1 - 8 * width)))
        return SampleReader(width, highest, kinds[width], order)
    raise LookupError(f"format {format_code} with {bits} bits in {width} bytes")


def _read_24(data: bytes, order: str) -> NDArray[np.float32]:
    count = len(data) // 3
    padded = b"\0" + data if order == "<" else data + b"\0"
    # Each number contains a byte of its neighbour, which the shift drops.
    whole: NDArray[np.int32] = np.ndarray((count,), order + "i4", padded, strides=(3,))
    return (whole >> 8).astype(np.float32) * np.float32(1 / (1 << 23))


def _mulaw_levels() -> NDArray[np.float32]:
    """Source: ITU-T G.711, table 2b, scaled to 16 bits."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 15) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.float32) / np.float32(32768)


def _alaw_levels() -> NDArray[np.float32]:
    """Source: ITU-T G.711, table 1b, scaled to 16 bits."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = code >> 4 & 7, (code & 15) << 4
    magnitude = np.where(segment, step + 0x108 << np.maximum(segment - 1, 0), step + 8)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.float32) / np.float32(32768)


_G711 = {"mulaw": _mulaw_levels(), "alaw": _alaw_levels()}


def _nearest_codes(levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the code of the nearest level for each of the 65,536 values, by its unsigned bits."""
    order = np.argsort(levels, kind="stable")
    ascending = levels[order] * 32768
    borders = (ascending[1:] + ascending[:-1]) / 2
    values = np.arange(65_536, dtype=np.uint16).view(np.int16)
    return order.astype(np.uint8)[np.searchsorted(borders, values, side="right")]


_CODES = {name: _nearest_codes(levels) for name, levels in _G711.items()}


def encode_g711(samples: NDArray[np.int16], law: str) -> bytes:
    """Return the samples in G.711, one byte each.

    Args:
        samples: Full scale ±32767.
        law: "mulaw" or "alaw".

    Source: ITU-T G.711: the decoded value nearest to each sample.
    """
    return _CODES[law][samples.view(np.uint16)].tobytes()
