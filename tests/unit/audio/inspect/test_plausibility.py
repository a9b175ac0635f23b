from __future__ import annotations

import pytest

from kazoo_media.audio.inspect.plausibility import is_too_long, is_too_short


@pytest.mark.parametrize(
    ("duration_ms", "expected_ms", "missing"),
    [
        (5000, None, False),
        (5000, 5000, False),
        (4830, 5000, False),
        (4820, 5000, True),
        (59_000, 60_000, True),
        (59_450, 60_000, False),
        (59_420, 60_000, True),
        (30, 100, False),
        (20, 100, True),
    ],
)
def test_two_percent_or_half_a_second_and_a_frame_may_be_missing(
    duration_ms: int, expected_ms: int | None, *, missing: bool
) -> None:
    assert is_too_short(duration_ms, expected_ms) is missing


@pytest.mark.parametrize(
    ("duration_ms", "expected_ms", "surplus"),
    [
        (5000, None, False),
        (5170, 5000, False),
        (5180, 5000, True),
        (60_570, 60_000, False),
        (60_580, 60_000, True),
    ],
)
def test_what_is_too_long_has_the_same_tolerance(
    duration_ms: int, expected_ms: int | None, *, surplus: bool
) -> None:
    assert is_too_long(duration_ms, expected_ms) is surplus
