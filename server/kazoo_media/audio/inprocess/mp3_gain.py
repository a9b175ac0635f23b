"""How loud an mp3 is, changed without decoding it: each frame has one gain for all that it holds.

Source: ISO/IEC 11172-3, 2.4.3.4.7.1: what a decoder hears is proportional to
2^((global_gain - 210) / 4). ISO/IEC 13818-3, 2.4.1.7: where it stands at low sample rates, which
MPEG 2.5 shares. A frame in mono is

    32 bits header, 8 main_data_begin, 1 private_bits,
    12 part2_3_length, 9 big_values, 8 global_gain, ...

and a part2_3_length of 0 says that it holds nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kazoo_media.audio.inspect.mpeg import mpeg_frame

STEP_DB = 20 * math.log10(2) / 4
"""What one step of the gain changes."""

HIGHEST_GAIN = 255

Frames = NDArray[np.uint8]
"""Frames of one length: shape (frames, bytes)."""

_HEADER_BYTES = 4
_HEAD_BYTES = 13  # the header and what comes before the audio itself
_LOW_RATE_LAYER_3 = 0b0011  # the version's low bit, the layer, and that no checksum follows
_MONO = 0b11


def frames_of(data: bytes | bytearray) -> Frames:
    """Return all whole frames of a stream that begins with one; not what is left of the last.

    Raises:
        ValueError: it is no mono stream of MPEG 2 or 2.5, layer III, without checksums, whose
            frames all have the same header.
    """
    head = bytes(data[:_HEADER_BYTES])
    if len(head) < _HEADER_BYTES:
        return np.zeros((0, _HEAD_BYTES), np.uint8)
    frame = mpeg_frame(head[1], head[2]) if head[0] == 0xFF else None
    is_known = head[1] & 0b1111 == _LOW_RATE_LAYER_3 and head[3] >> 6 == _MONO
    if frame is None or not is_known:
        raise ValueError("these are no frames whose gain is known to be found")
    length = frame.length_bytes
    count = len(data) // length
    frames = np.frombuffer(data, np.uint8, count * length).reshape(count, length)
    if (frames[:, :_HEADER_BYTES] != np.frombuffer(head, np.uint8)).any():
        raise ValueError("these frames differ in what their headers say")
    return frames


def highest_gain(frames: Frames) -> int:
    """Return the highest gain of a frame that holds something, 0 if none does."""
    return int((_gains(frames) * _holds_something(frames)).max(initial=0))


def raised(frames: Frames, steps: int) -> Frames:
    """Return the frames louder by so many steps, quieter if it is less than 0. What holds nothing
    stays as it is.

    A gain does not fall below 0: there the largest value, 8206^(4/3), is heard at -211 dB.

    Args:
        frames: Whose highest gain stays within HIGHEST_GAIN.
    """
    gains = np.maximum(_gains(frames) + steps * _holds_something(frames), 0)
    changed = frames.copy()
    changed[:, 7] = frames[:, 7] & 0b1111_1100 | gains >> 6
    changed[:, 8] = frames[:, 8] & 0b11 | (gains & 0b11_1111) << 2
    return changed


def _gains(frames: Frames) -> NDArray[np.int16]:
    gains: NDArray[np.int16] = (frames[:, 7] & 0b11).astype(np.int16) << 6 | frames[:, 8] >> 2
    return gains


def _holds_something(frames: Frames) -> NDArray[np.bool_]:
    there: NDArray[np.bool_] = (frames[:, 5] & 0x7F | frames[:, 6] & 0b1111_1000) != 0
    return there
