"""Which part of a rendition a range means."""

from __future__ import annotations

import pytest

from kazoo_media.errors import RangeNotSatisfiableError
from kazoo_media.media.downloads import ByteRange


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, (0, 100)),
        (99, None, (99, 1)),
        (10, 5, (10, 5)),
        (90, 50, (90, 10)),
        (-30, None, (70, 30)),
        (-300, None, (0, 100)),
    ],
)
def test_a_range_is_cut_at_the_end(
    offset: int, length: int | None, expected: tuple[int, int]
) -> None:
    span = ByteRange.within(100, offset, length)
    assert (span.offset, span.length) == expected


def test_a_range_behind_the_end_is_refused() -> None:
    with pytest.raises(RangeNotSatisfiableError):
        ByteRange.within(100, 100, None)
