"""A client of a real service, as the client's own tests have it."""

from __future__ import annotations

from tests.unit.client.conftest import address, client, service

__all__ = ["address", "client", "service"]
