"""The contracts of a metadata store: media, prompts, blob rows, accounts, signing keys, settings.

A driver implements all of them on one database; a class of the core takes those that it uses.
Drivers are dumb. They check only what is written here; ids, documents and permissions were checked
by the core. Every method is atomic and, when it returns, durable. Rows of one account are never
touched through another's id. A store is safe for concurrent use by all tasks of one event loop and
by several processes.

Theory of operation, blobs (storage rules 1 to 4):

1. `begin_upload` writes an intent row for each blob key: pending.
2. The bytes go to the blob store.
3. `commit_content` is the commit point: pending blobs live, the document points to them, previous
blobs dead. For a media that is new with its content, `insert_media` is.
4. A sweeper marks pending blobs that nobody touched as dead, unlinks dead blobs, then forgets their
rows. A commit that
   finds its blob no longer pending changes nothing.

Raises, by every method: StoreUnavailableError when the engine does not answer, StorageFullError
when it has no space.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from kazoo_media.model import (
    Account,
    BlobRow,
    ListedDocument,
    Media,
    MediaQuery,
    SettingRow,
    SigningKey,
    User,
)


class MediaStore(ABC):
    """Documents and which blobs are their content. A soft-deleted media is invisible to every
    method except `insert_media`: its id stays taken.
    """

    @abstractmethod
    async def get_media(self, account_id: str, media_id: str) -> Media | None:
        """Return a live media with its content, or None."""

    @abstractmethod
    async def insert_media(self, media: Media) -> None:
        """Add a media. With `media.content` its blobs become live in the same transaction, as in
        `commit_content`, touched at `media.created_ms`.

        Raises:
            ConflictError: the id is taken in this account, also by a soft-deleted media.
            IncompleteUploadError: a blob of the content is not pending any more. Nothing changed.
        """

    @abstractmethod
    async def replace_document(self, media: Media, expected_revision: str) -> None:
        """Store document, revision and modified time of a live media; its content stays.

        Raises:
            StaleRevisionError: there is no live media of this id with `expected_revision`.
        """

    @abstractmethod
    async def commit_content(self, media: Media, expected_revision: str, now_ms: int) -> None:
        """Make `media.content` the content of a live media: the commit point.

        In one transaction: every blob of `media.content` becomes live with its size, digest, type,
        audio facts and peaks; document, revision and modified time are stored; blobs of the
        previous content become dead. A blob that both contents have stays live; its audio facts
        are stored, and peaks if it has none.

        Raises:
            StaleRevisionError: there is no live media of this id with `expected_revision`. Nothing
                changed.
            IncompleteUploadError: a blob of the new content is not pending any more. Nothing
                changed.
        """

    @abstractmethod
    async def soft_delete_media(
        self, account_id: str, media_id: str, expected_revision: str, now_ms: int
    ) -> None:
        """Hide a live media; its blobs stay live.

        Raises:
            StaleRevisionError: there is no live media of this id with `expected_revision`.
        """

    @abstractmethod
    async def remove_media(
        self, account_id: str, media_id: str, expected_revision: str, now_ms: int
    ) -> None:
        """Remove a live media; its blobs become dead in the same transaction.

        Raises:
            StaleRevisionError: there is no live media of this id with `expected_revision`.
        """

    @abstractmethod
    async def purge_media(
        self, account_id: str, deleted_until_ms: int, limit: int, now_ms: int
    ) -> int:
        """Remove media of an account that were soft-deleted at or before a time; their blobs become
        dead, their ids free. Return how many, at most `limit`.
        """

    @abstractmethod
    async def list_media(self, account_id: str, query: MediaQuery) -> list[Media]:
        """Return the first `query.limit` live media that match, with their content, in the query's
        order.
        """

    @abstractmethod
    async def list_documents(self, account_id: str, query: MediaQuery) -> list[ListedDocument]:
        """Return the documents of what `list_media` returns. Their content is not read: it costs
        more than the documents.
        """


class PromptStore(ABC):
    """Prompts and languages of the live media of an account."""

    @abstractmethod
    async def count_prompts(self, account_id: str, start: str, limit: int) -> list[tuple[str, int]]:
        """Return prompt ids >= `start` with the number of live media that have them, by id, at most
        `limit`.
        """

    @abstractmethod
    async def count_languages(self, account_id: str) -> list[tuple[str | None, int]]:
        """Return lower-case languages with the number of live media, by language; None counts those
        without.
        """

    @abstractmethod
    async def list_prompt_ids(
        self, account_id: str, prompt_id: str, start: str, limit: int
    ) -> list[str]:
        """Return ids >= `start` of live media with this prompt id, ascending, at most `limit`."""

    @abstractmethod
    async def list_language_ids(
        self, account_id: str, language: str | None, start: str, limit: int
    ) -> list[str]:
        """Return ids >= `start` of live media of a lower-case language (None: without), ascending,
        at most `limit`.
        """


class BlobRows(ABC):
    """The states of blobs, and what is kept of them beside their bytes."""

    @abstractmethod
    async def begin_upload(self, account_id: str, keys: Sequence[str], now_ms: int) -> None:
        """Add pending rows. The keys are new: random, never used before."""

    @abstractmethod
    async def touch_blobs(self, account_id: str, keys: Sequence[str], now_ms: int) -> None:
        """Refresh the touched time of those keys that are pending."""

    @abstractmethod
    async def get_peaks(self, account_id: str, key: str) -> bytes | None:
        """Return the peaks of a blob that was not forgotten, or None."""

    @abstractmethod
    async def put_measured(self, media: Media, known: Mapping[str, Any]) -> None:
        """Store what was measured of the content of a live media: its document, and of its blobs
        audio facts, and peaks where there are none. Revision and modified time stay.

        Args:
            known: The document as it was read.

        Raises:
            StaleRevisionError: there is no live media of this id with the revision of `media` and
                the known document.
        """

    @abstractmethod
    async def abandon_blobs(self, account_id: str, keys: Sequence[str], now_ms: int) -> list[str]:
        """Mark those keys that are pending as dead and return them. Unknown keys and other states
        are left alone. Commits that began before this call are decided when it looks.
        """

    @abstractmethod
    async def expire_pending(self, untouched_since_ms: int, now_ms: int) -> int:
        """Mark all pending blobs last touched before `untouched_since_ms` as dead; return how
        many.
        """

    @abstractmethod
    async def list_dead(self, untouched_since_ms: int, limit: int) -> list[BlobRow]:
        """Return dead blobs last touched before `untouched_since_ms`, of all accounts, at most
        `limit`.
        """

    @abstractmethod
    async def forget_blobs(self, rows: Sequence[BlobRow]) -> None:
        """Remove the rows of those blobs that are dead, and their peaks."""

    @abstractmethod
    async def list_blobs(self, start: str, limit: int) -> list[BlobRow]:
        """Return rows of all accounts and states with key > `start`, by key, at most `limit`."""


class AccountStore(ABC):
    """Accounts and their users. API keys and credentials are known by their digests only."""

    @abstractmethod
    async def insert_account(self, account: Account, api_key_sha256: str) -> None:
        """Add an account.

        Raises:
            ConflictError: the id is taken.
        """

    @abstractmethod
    async def get_account(self, account_id: str) -> Account | None:
        """Return an account, or None."""

    @abstractmethod
    async def find_account(self, api_key_sha256: str) -> Account | None:
        """Return the account whose current API key has this digest, or None."""

    @abstractmethod
    async def list_accounts(self, ancestor_id: str | None, start: str, limit: int) -> list[Account]:
        """Return accounts with id >= `start` below an ancestor (None: all there are), by id, at
        most `limit`.
        """

    @abstractmethod
    async def replace_api_key(self, account_id: str, api_key_sha256: str) -> Account | None:
        """Store a new digest, count the key generation up, return the account; None when there is
        none.
        """

    @abstractmethod
    async def find_accounts(self, name_key: str, realm: str) -> list[Account]:
        """Return accounts by the one that is not "": `account_key` of the name, or the realm in
        lower case; by id, at most 100.
        """

    @abstractmethod
    async def put_user(self, user: User, credential_digests: Sequence[str]) -> User:
        """Add a user, or give the one of that name other credentials; return it with its own id."""

    @abstractmethod
    async def find_user(self, account_id: str, credential_digest: str) -> User | None:
        """Return the user of an account who has a credential with this digest, or None."""


class KeyStore(ABC):
    """The public keys of all nodes."""

    @abstractmethod
    async def add_signing_key(self, key: SigningKey) -> None:
        """Add a public key; a kid that exists already is left as it is."""

    @abstractmethod
    async def list_signing_keys(self) -> list[SigningKey]:
        """Return all public keys, the newest first."""


class SettingStore(ABC):
    """The stored values of settings."""

    @abstractmethod
    async def settings_revision(self) -> int:
        """Return a number that changes with every change of a setting and every
        `bump_settings_revision`.
        """

    @abstractmethod
    async def bump_settings_revision(self) -> None:
        """Change the number, so that every process reads the settings again."""

    @abstractmethod
    async def list_settings(self) -> list[SettingRow]:
        """Return all stored values."""

    @abstractmethod
    async def put_setting(self, row: SettingRow) -> None:
        """Add or replace a value."""

    @abstractmethod
    async def remove_setting(self, category: str, scope: str, key: str) -> None:
        """Remove a value; it need not exist."""


class MetadataStore(MediaStore, PromptStore, BlobRows, AccountStore, KeyStore, SettingStore):
    """One database: what a driver is."""

    @abstractmethod
    async def aclose(self) -> None:
        """Finish accepted writes and release everything. The store cannot be used afterwards."""
