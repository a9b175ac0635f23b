from __future__ import annotations

import pytest

from kazoo_media.audio.inspect.mpeg import mpeg_frame


@pytest.mark.parametrize(
    ("second", "third", "length_bytes", "samples", "rate"),
    [
        (0xFB, 0x90, 417, 1152, 44_100),  # MPEG 1 layer III, 128 kbit/s
        (0xFB, 0x92, 418, 1152, 44_100),  # padded
        (0xF3, 0x80, 208, 576, 22_050),  # MPEG 2 layer III, 64 kbit/s
        (0xE3, 0x18, 72, 576, 8000),  # MPEG 2.5 layer III, 8 kbit/s
        (0xFD, 0xE8, 1728, 1152, 32_000),  # MPEG 1 layer II, 384 kbit/s
        (0xFF, 0x14, 32, 384, 48_000),  # MPEG 1 layer I, 32 kbit/s
    ],
)
def test_a_header_tells_length_and_samples(
    second: int, third: int, length_bytes: int, samples: int, rate: int
) -> None:
    frame = mpeg_frame(second, third)

    assert frame is not None
    assert (frame.length_bytes, frame.samples) == (length_bytes, samples)
    assert frame.sample_rate_hertz == rate


@pytest.mark.parametrize(
    ("second", "third"),
    [
        (0x7B, 0x90),  # no sync
        (0xEB, 0x90),  # reserved version
        (0xF9, 0x90),  # reserved layer
        (0xFB, 0x9C),  # reserved rate
        (0xFB, 0xF0),  # forbidden bit rate
        (0xFB, 0x00),  # free format
    ],
)
def test_what_the_standard_reserves_is_no_frame(second: int, third: int) -> None:
    assert mpeg_frame(second, third) is None
