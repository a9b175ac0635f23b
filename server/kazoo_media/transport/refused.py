"""A request that its servicer never gets to see."""

from __future__ import annotations

import grpc


class RefusedError(Exception):
    """A request that no servicer can be given; the call ends with this status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
