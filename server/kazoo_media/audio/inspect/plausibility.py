"""Plausibility of sample rates, channel counts and durations."""

from __future__ import annotations

LOWEST_RATE_HERTZ, HIGHEST_RATE_HERTZ = 4_000, 192_000
MOST_CHANNELS = 8


def implausible(sample_rate_hertz: int | None, channel_count: int | None) -> str | None:
    """Return why such audio must not be converted, or None if it is plausible or unknown.

    A rate of 1 Hz would turn 2 kB into 40,000 s of audio.
    """
    rate, channels = sample_rate_hertz, channel_count
    if rate is not None and not LOWEST_RATE_HERTZ <= rate <= HIGHEST_RATE_HERTZ:
        return f"a sample rate of {rate} Hz is not supported"
    if channels is not None and not 1 <= channels <= MOST_CHANNELS:
        return f"{channels} channels are not supported"
    return None


def is_too_short(duration_ms: int, expected_ms: int | None) -> bool:
    """Return whether a part is missing; False if nothing is expected.

    The tolerance for a resampler's edges is 2 % and half a second.
    """
    return expected_ms is not None and duration_ms < expected_ms * 0.98 - 500
