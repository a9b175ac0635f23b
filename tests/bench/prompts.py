"""Real prompts to measure with, where there are any."""

from __future__ import annotations

from pathlib import Path

VARIABLE = "BENCH_PROMPTS"
"""Of the environment: a folder of WAV prompts."""
_USUAL = Path(__file__).parents[3] / "shared" / "audio" / "prompts" / "en-us"


def real_prompts(given: Path | None) -> Path | None:
    """Return the folder that was given, else the one beside the checkout; None: there is none."""
    if given is not None:
        return given
    return _USUAL if _USUAL.is_dir() else None
