"""Real prompts for measurements, if there are any."""

from __future__ import annotations

from pathlib import Path

VARIABLE = "BENCH_PROMPTS"
"""Environment variable that names a folder of WAV prompts."""
_USUAL = Path(__file__).parents[3] / "shared" / "audio" / "prompts" / "en-us"


def real_prompts(given: Path | None) -> Path | None:
    """Return the given folder or the one beside the checkout, or None."""
    if given is not None:
        return given
    return _USUAL if _USUAL.is_dir() else None
