"""The contracts of a metadata store: media, prompts, blobs, accounts, keys, settings, uploads.

A driver implements all of them on one database; a class of the core takes those that it uses.
Drivers check only what is written here; the core has checked ids, documents and permissions (other
text with a NUL may get a ValidationError). Every method is atomic, and durable when it returns. It
never touches rows of an account other than the given one. All tasks of one event loop, and several
processes, may use a store concurrently. Errors: StoreUnavailableError, StorageFullError.

Theory of operation, blobs (storage rules 1 to 4):

1. `begin_upload` writes an intent row for each blob key: pending. The bytes go to the blob store.
2. `commit_content` is the commit point: pending blobs become live, the document points to them,
   previous blobs become dead. If the media is new, `insert_media` is the commit point.
3. A sweeper marks pending blobs that were not touched for a while as dead, unlinks dead blobs, then
   forgets their rows. A commit that finds its blob no longer pending changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from kazoo_media.metadata.cluster_store import ClusterStore
from kazoo_media.metadata.link_secret_store import LinkSecretStore
from kazoo_media.metadata.recording_store import RecordingStore
from kazoo_media.metadata.uploads import UploadStore
from kazoo_media.metadata.version_store import VersionStore
from kazoo_media.model import (
    KEEP_NONE,
    Account,
    BlobRow,
    Keep,
    ListedDocument,
    Media,
    MediaQuery,
    PlaybackKey,
    SettingRow,
    SigningKey,
    User,
)


class MediaStore(ABC):
    """Documents and the blobs of their content.

    A soft-deleted media is invisible except to lists that ask for it; its id stays taken.
    """

    @abstractmethod
    async def get_media(self, account_id: str, media_id: str) -> Media | None:
        """Return a live media with its content, or None."""

    @abstractmethod
    async def insert_media(self, media: Media) -> None:
        """Add a media.

        The blobs of `media.content`, if any, become live in the same transaction, as in
        `commit_content`, touched at `media.created_ms`.

        Raises:
            ConflictError: a live media has the file name, or any has the id in this account.
            IncompleteUploadError: a blob of the content is no longer pending. Nothing changed.
        """

    @abstractmethod
    async def replace_document(self, media: Media, expected_revision: str) -> None:
        """Store document, revision and modified time of a live media; its content stays.

        Raises:
            StaleRevisionError: no live media has this id and `expected_revision`.
        """

    @abstractmethod
    async def commit_content(
        self, media: Media, expected_revision: str, now_ms: int, keep: Keep = KEEP_NONE
    ) -> None:
        """Make `media.content` the content of a live media: the commit point.

        In one transaction: every blob of `media.content` becomes live with its size, digest, type,
        audio facts and peaks; document, revision and modified time are stored; blobs of the
        previous content become dead. A blob that belongs to both contents stays live; its audio
        facts are stored, and peaks if it has none. What is kept: see `VersionStore`.

        Raises:
            StaleRevisionError: no live media has this id and `expected_revision`. Nothing changed.
            IncompleteUploadError: a blob of the new content is no longer pending. Nothing changed.
        """

    @abstractmethod
    async def soft_delete_media(
        self, account_id: str, media_id: str, expected_revision: str, now_ms: int
    ) -> None:
        """Hide a live media; its blobs stay live.

        Raises:
            StaleRevisionError: no live media has this id and `expected_revision`.
        """

    @abstractmethod
    async def remove_media(
        self, account_id: str, media_id: str, expected_revision: str, now_ms: int
    ) -> None:
        """Remove a live media and its versions; their blobs become dead in the same transaction.

        Raises:
            StaleRevisionError: no live media has this id and `expected_revision`.
        """

    @abstractmethod
    async def purge_media(
        self, account_id: str, deleted_until_ms: int, limit: int, now_ms: int
    ) -> int:
        """Remove media of an account that were soft-deleted at or before a time.

        Their blobs become dead, their ids free. Return how many were removed, at most `limit`.
        """

    @abstractmethod
    async def list_media(self, account_id: str, query: MediaQuery) -> list[Media]:
        """Return the first `query.limit` matching live media in the query's order.

        If their documents are long together, over 1 Mi characters of JSON, there may be fewer, but
        at least two.
        """

    @abstractmethod
    async def list_documents(self, account_id: str, query: MediaQuery) -> list[ListedDocument]:
        """Return the documents of the media that `list_media` would return.

        Their content is not read: it costs more than the documents. A document over 4 KiB may have
        only what a list shows: name, media_source, language, prompt_id and content_type, which are
        None if the document lacks them.
        """


class PromptStore(ABC):
    """Prompts and languages of the live media of an account."""

    @abstractmethod
    async def count_prompts(self, account_id: str, start: str, limit: int) -> list[tuple[str, int]]:
        """Return prompt ids >= `start` with the number of their live media.

        The order is by id; the number of rows is at most `limit`.
        """

    @abstractmethod
    async def count_languages(self, account_id: str) -> list[tuple[str | None, int]]:
        """Return lower-case languages with the number of their live media, by language.

        None counts the media without a language.
        """

    @abstractmethod
    async def list_translations(
        self, account_id: str, prompt_id: str, start: str, limit: int
    ) -> list[tuple[str, bool]]:
        """Return ids >= `start` of live media with this prompt id, ascending, at most `limit`.

        Each comes with whether the media has content.
        """

    @abstractmethod
    async def list_language_ids(
        self, account_id: str, language: str | None, start: str, limit: int
    ) -> list[str]:
        """Return ids >= `start` of live media of a lower-case language, ascending, at most `limit`.

        None selects the media without a language.
        """


class BlobRows(ABC):
    """The states of blobs and what is stored about them."""

    @abstractmethod
    async def begin_upload(self, account_id: str, keys: Sequence[str], now_ms: int) -> None:
        """Add pending rows. The keys are random and were never used before."""

    @abstractmethod
    async def touch_blobs(self, account_id: str, keys: Sequence[str], now_ms: int) -> None:
        """Refresh the touched time of the keys that are pending."""

    @abstractmethod
    async def get_peaks(self, account_id: str, key: str) -> bytes | None:
        """Return the peaks of a blob, or None."""

    @abstractmethod
    async def put_measured(self, media: Media, known: Mapping[str, Any]) -> None:
        """Store the measurements of the content of a live media.

        The document and the audio facts of the blobs are replaced; peaks are stored for blobs that
        have none. Revision and modified time stay.

        Args:
            known: The document before the measurement.

        Raises:
            StaleRevisionError: no live media has this id, this revision and the known document.
        """

    @abstractmethod
    async def abandon_blobs(self, account_id: str, keys: Sequence[str], now_ms: int) -> list[str]:
        """Mark the keys that are pending as dead and return them.

        Unknown keys and other states are ignored. Commits that began before this call have
        finished when it reads the states.
        """

    @abstractmethod
    async def expire_pending(self, untouched_since_ms: int, now_ms: int) -> int:
        """Mark pending blobs last touched before `untouched_since_ms` as dead; return how many."""

    @abstractmethod
    async def list_dead(self, untouched_since_ms: int, limit: int) -> list[BlobRow]:
        """Return at most `limit` dead blobs of all accounts, last touched before a time."""

    @abstractmethod
    async def forget_blobs(self, rows: Sequence[BlobRow]) -> None:
        """Remove the rows of the blobs that are dead, and their peaks."""

    @abstractmethod
    async def list_blobs(self, start: str, limit: int) -> list[BlobRow]:
        """Return rows of all accounts and states with key > `start`, by key, at most `limit`."""


class DamageRows(ABC):
    """When live blobs were last checked against their digests, and which of them are damaged.

    A commit counts as a check: the digest was computed from the bytes that were written.
    """

    @abstractmethod
    async def list_unchecked(
        self, checked_before_ms: int, limit: int, *, damaged: bool
    ) -> list[BlobRow]:
        """Return live blobs of all accounts whose last check was before a time.

        They are the damaged ones or all others, the longest unchecked first, at most `limit`.
        """

    @abstractmethod
    async def put_checked(self, rows: Sequence[BlobRow], now_ms: int) -> None:
        """Store the time of the check of these blobs."""

    @abstractmethod
    async def find_media(self, account_id: str, key: str) -> Media | None:
        """Return the live media whose content has this blob, or None.

        It may read all media of the account: for rare cases.
        """

    @abstractmethod
    async def put_blob_damage(self, account_id: str, key: str, *, is_damaged: bool) -> None:
        """Store whether a live blob is damaged that no live media has as its content."""

    @abstractmethod
    async def put_damage(self, media: Media, expected_revision: str) -> None:
        """Store which renditions of a live media are damaged.

        Document and revision are stored in the same transaction; the modified time stays.

        Raises:
            StaleRevisionError: no live media has this id and `expected_revision`. Nothing changed.
        """


class AccountStore(ABC):
    """Accounts and their users. Only digests of API keys and credentials are stored."""

    @abstractmethod
    async def insert_account(self, account: Account, api_key_sha256: str) -> None:
        """Add an account.

        Names are compared by `account_key`, realms in lower case. Empty ones are not compared.

        Raises:
            ConflictError: the id is taken.
            NameTakenError: another account has the name or the realm.
        """

    @abstractmethod
    async def get_account(self, account_id: str) -> Account | None:
        """Return an account, or None."""

    @abstractmethod
    async def find_account(self, api_key_sha256: str) -> Account | None:
        """Return the account whose current API key has this digest, or None."""

    @abstractmethod
    async def list_accounts(self, ancestor_id: str | None, start: str, limit: int) -> list[Account]:
        """Return accounts with id >= `start` below an ancestor, by id, at most `limit`.

        None as the ancestor selects all accounts.
        """

    @abstractmethod
    async def replace_api_key(self, account_id: str, api_key_sha256: str) -> Account | None:
        """Store a new digest and increment the key generation.

        Return the account, or None if it does not exist.
        """

    @abstractmethod
    async def find_named_account(self, name_key: str, realm: str) -> Account | None:
        """Return the account with this name, or without a name the one with this realm, or None.

        Args:
            name_key: `account_key` of the name, or "".
            realm: The realm in lower case, or "".
        """

    @abstractmethod
    async def put_user(self, user: User, credential_digests: Sequence[str]) -> User:
        """Add a user, or replace the credentials of the user with this name.

        Return the stored user; one that existed keeps its id.
        """

    @abstractmethod
    async def find_user(self, account_id: str, credential_digest: str) -> User | None:
        """Return the user of an account who has a credential with this digest, or None."""


class PlaybackKeyStore(ABC):
    """Keys that read the audio of an account. Only their digests are stored."""

    @abstractmethod
    async def add_playback_key(self, key: PlaybackKey, sha256: str) -> None:
        """Add a key with a random id and digest to an account that exists."""

    @abstractmethod
    async def find_playback_key(self, sha256: str) -> PlaybackKey | None:
        """Return the key with this digest, or None."""

    @abstractmethod
    async def list_playback_keys(self, account_id: str) -> list[PlaybackKey]:
        """Return the keys of an account, the oldest first."""

    @abstractmethod
    async def remove_playback_key(self, account_id: str, key_id: str) -> bool:
        """Remove a key; return whether it existed."""


class KeyStore(ABC):
    """The public keys of all nodes."""

    @abstractmethod
    async def add_signing_key(self, key: SigningKey) -> None:
        """Add a public key unless its kid exists."""

    @abstractmethod
    async def list_signing_keys(self) -> list[SigningKey]:
        """Return all public keys, the newest first."""


class SettingStore(ABC):
    """The stored values of settings."""

    @abstractmethod
    async def settings_revision(self) -> int:
        """Return a number that every change of a setting and `bump_settings_revision` changes."""

    @abstractmethod
    async def bump_settings_revision(self) -> None:
        """Change the revision, so that every process reads the settings again."""

    @abstractmethod
    async def list_settings(self) -> list[SettingRow]:
        """Return all stored values."""

    @abstractmethod
    async def put_setting(self, row: SettingRow) -> None:
        """Add or replace a value."""

    @abstractmethod
    async def remove_setting(self, category: str, scope: str, key: str) -> None:
        """Remove a value if it exists."""


class MetadataStore(
    MediaStore,
    VersionStore,
    PromptStore,
    BlobRows,
    DamageRows,
    AccountStore,
    PlaybackKeyStore,
    LinkSecretStore,
    KeyStore,
    SettingStore,
    UploadStore,
    RecordingStore,
    ClusterStore,
):
    """One database: the contract of a driver."""

    @abstractmethod
    async def aclose(self) -> None:
        """Finish accepted writes and release all resources. The store cannot be used afterwards."""
