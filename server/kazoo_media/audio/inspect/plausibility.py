"""Plausibility of sample rates, channel counts and durations."""

from __future__ import annotations

LOWEST_RATE_HERTZ, HIGHEST_RATE_HERTZ = 4_000, 192_000
MOST_CHANNELS = 8
_LONGEST_FRAME_MS = 72  # of an MP3 at 8 kHz


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

    The tolerance is 2 %, at most half a second, and one frame.
    """
    return expected_ms is not None and duration_ms < expected_ms - _tolerance_ms(expected_ms)


def is_too_long(duration_ms: int, expected_ms: int | None) -> bool:
    """Return whether there is more than there should be, with the tolerance of `is_too_short`."""
    return expected_ms is not None and duration_ms > expected_ms + _tolerance_ms(expected_ms)


def covers(measured_ms: int, duration_ms: int | None) -> bool:
    """Return whether a measurement covers audio of this duration.

    Decoders leave out the silence that encoders add at both ends, and a broken frame or two.
    """
    return duration_ms is None or measured_ms >= duration_ms * 0.98 - 500


def _tolerance_ms(expected_ms: int) -> float:
    return min(expected_ms * 0.02, 500) + _LONGEST_FRAME_MS
