"""Processes that a test's own code started."""

from __future__ import annotations

import psutil


def programs() -> list[psutil.Process]:
    """Return the programs that run below this process, without the products and gateways that
    other tests of the session keep.
    """
    kept = ("python", "envoy")
    return [each for each in psutil.Process().children() if not each.name().startswith(kept)]
