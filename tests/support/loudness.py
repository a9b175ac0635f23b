"""Loudness by libebur128, which is independent of the product's own meter."""

from __future__ import annotations

import math

import numpy as np
import soxr
from numpy.typing import NDArray
from pyebur128 import MeasurementMode, R128State, get_loudness_global

_METER_HERTZ = 48_000
"""The rate for which ITU-R BS.1770 specifies its filters."""


def independent_loudness(samples: NDArray[np.float64], rate_hertz: int) -> float | None:
    """Return the integrated loudness in LUFS, measured at 48 kHz; None: nothing is loud enough.

    Args:
        samples: shape (frames,) or (frames, channels), full scale is 1.0.
    """
    if rate_hertz != _METER_HERTZ:
        samples = soxr.resample(samples, rate_hertz, _METER_HERTZ, quality="VHQ")
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    meter = R128State(channels, _METER_HERTZ, MeasurementMode.MODE_I)
    meter.add_frames(np.ascontiguousarray(samples, np.float64).reshape(-1), len(samples))
    found = float(get_loudness_global(meter))
    return found if math.isfinite(found) else None
