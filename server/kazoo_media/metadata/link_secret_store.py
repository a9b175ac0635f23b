"""The contract of link secrets."""

from __future__ import annotations

from abc import ABC, abstractmethod


class LinkSecretStore(ABC):
    """The secrets that sign links to audio."""

    @abstractmethod
    async def get_link_secret(self, account_id: str) -> str | None:
        """Return the secret of an account, or None."""

    @abstractmethod
    async def add_link_secret(self, account_id: str, secret: str) -> str:
        """Add a secret unless the account has one; return the one that it has now."""

    @abstractmethod
    async def replace_link_secret(self, account_id: str, secret: str) -> None:
        """Store a secret in place of the account's secret, if it has one."""
