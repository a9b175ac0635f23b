"""The fall of a level from the input of a conversion to its output."""

from __future__ import annotations

ONE_CHANNEL = "the mix of the channels was nearly silent: one of them was used instead"
"""A warning of a conversion."""

_MOST_FALL_DB = 20
_TEXTS = ("the level fell", "nothing is left")


def level_warning(before_lufs: float | None, after_lufs: float | None) -> str | None:
    """Return a remark for a person if the level fell by more than 20 dB, otherwise None.

    Args:
        before_lufs: None: nothing was loud enough to be measured.
        after_lufs: The same.
    """
    if before_lufs is None:
        return None
    if after_lufs is None:
        return f"nothing is left of a level of {before_lufs:.0f} LUFS"
    if before_lufs - after_lufs > _MOST_FALL_DB:
        return f"the level fell from {before_lufs:.0f} to {after_lufs:.0f} LUFS"
    return None


def has_level_warning(warning: str) -> bool:
    """Return whether a text contains such a remark."""
    return any(text in warning for text in _TEXTS)
