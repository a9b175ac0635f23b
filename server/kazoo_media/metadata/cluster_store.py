"""The contract of the cluster's id."""

from __future__ import annotations

from abc import ABC, abstractmethod


class ClusterStore(ABC):
    """What tells this database from all others."""

    @abstractmethod
    async def get_cluster_id(self) -> str:
        """Return the random id that was made with the database: 32 hex digits, never changed."""
