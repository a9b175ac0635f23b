"""The contract of what belongs to all nodes of a database together."""

from __future__ import annotations

from abc import ABC, abstractmethod


class ClusterStore(ABC):
    """The id of the cluster, and claims: what one of its nodes does at a time.

    The time of claims is the database's, so the clocks of nodes do not matter.
    """

    @abstractmethod
    async def get_cluster_id(self) -> str:
        """Return the random id that was made with the database: 32 hex digits, never changed."""

    @abstractmethod
    async def claim(self, name: str, holder: str, lease_ms: int) -> bool:
        """Take a claim that nobody has any more, or extend one's own.

        Return whether the holder has it now, for so long.
        """

    @abstractmethod
    async def release_claim(self, name: str, holder: str) -> None:
        """Give a claim up before its time; that of another holder stays."""
