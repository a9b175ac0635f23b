"""The error for requests that never reach their servicer."""

from __future__ import annotations

import grpc


class RefusedError(Exception):
    """A request that cannot be given to a servicer; the call ends with this status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
