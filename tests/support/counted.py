"""Metrics of which a test reads single values."""

from __future__ import annotations

from kazoo_media.service.metrics import PrometheusMetrics, own_registry


class Counted(PrometheusMetrics):
    """Counts in memory."""

    def __init__(self) -> None:
        self._registry = own_registry()
        super().__init__(self._registry)

    def value(self, name: str, **labels: str) -> float:
        """Return a sample, 0 if nothing was counted."""
        return self._registry.get_sample_value(f"kazoo_media_{name}", labels) or 0
