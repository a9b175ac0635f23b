"""The stored objects as frozen values. No I/O and no rules that need a store."""

from __future__ import annotations

import enum
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SYSTEM_ACCOUNT_ID = "system"
"""Account id of the system scope: the prompts and media that belong to no tenant."""


class RenditionKind(enum.StrEnum):
    """The stored forms of the audio of a media."""

    ORIGINAL = "original"
    NORMALIZED = "normalized"


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """The known properties of a piece of audio; None: not known.

    Attributes:
        codec: How the samples are coded, in lower case: `linear16`, `mulaw`, `mp3`, `opus`, ...
        loudness_lufs: Integrated loudness, ITU-R BS.1770; None also for audio below its gate.
        peak_dbfs: Level of the largest sample; None also for digital silence.
        clipped_samples: Number of samples at full scale.
    """

    duration_ms: int | None = None
    sample_rate_hertz: int | None = None
    channel_count: int | None = None
    codec: str | None = None
    loudness_lufs: float | None = None
    peak_dbfs: float | None = None
    clipped_samples: int | None = None


@dataclass(frozen=True, slots=True)
class Rendition:
    """One stored form of the audio of a media.

    Attributes:
        blob_key: Names the bytes in the blob store, never reused.
        sha256: Digest of the bytes, 64 lower-case hex digits.
        normalization: How a normalized rendition was made, the preset first; equal texts mean
            equal conversions. None: not known; always None for an original.
        peaks: Lowest and highest sample of stretches of equal length, as pairs of int8. Set only
            on the way into a store; not read back with a media.
        is_damaged: Whether the last check found other bytes in the blob store than those committed.
    """

    kind: RenditionKind
    blob_key: str
    content_type: str
    size_bytes: int
    sha256: str
    facts: AudioFacts = field(default_factory=AudioFacts)
    normalization: str | None = None
    peaks: bytes | None = field(default=None, compare=False)
    is_damaged: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """The audio of a media."""

    original: Rendition
    normalized: Rendition | None = None

    @property
    def served(self) -> Rendition:
        """Return the rendition that is sent unless the client requests the original."""
        return self.normalized or self.original

    @property
    def renditions(self) -> tuple[Rendition, ...]:
        """Return all renditions, the preferred one first."""
        return (self.original,) if self.normalized is None else (self.normalized, self.original)

    @property
    def is_damaged(self) -> bool:
        """Return whether a rendition is damaged."""
        return any(each.is_damaged for each in self.renditions)


@dataclass(frozen=True, slots=True)
class Media:
    """One document and its content.

    Attributes:
        document: The public document as clients see it, without `id`; JSON values only. Keys that
            belong to the service (`content_type`, `content_length`, ... once there is audio) are
            included.
        revision: `N-<32 hex>`, N counts saves.
        created_ms: Unix time in milliseconds.
        modified_ms: Unix time in milliseconds.
        is_recording: Whether it was recorded by the service; decided when it is inserted.
        file_name: The name under which a recorder sent it, "" if it has none; also decided then.
    """

    account_id: str
    id: str
    document: Mapping[str, Any]
    revision: str
    created_ms: int
    modified_ms: int
    content: Content | None = None
    is_recording: bool = False
    file_name: str = ""

    @property
    def prompt_id(self) -> str | None:
        """Return the prompt id, None for media that are not prompts."""
        return prompt_id_of(self.document)

    @property
    def language(self) -> str | None:
        """Return the language in lower case, None when it is missing or empty."""
        return language_of(self.document)


@dataclass(frozen=True, slots=True)
class Version:
    """A content that a media had before.

    Attributes:
        number: N of the last revision of the media that had it; unique in the media.
        outcome: What the document said about the upload and its conversion.
        replaced_ms: When it was replaced, Unix time in milliseconds.
    """

    number: int
    content: Content
    outcome: Mapping[str, Any]
    replaced_ms: int


@dataclass(frozen=True, slots=True)
class Keep:
    """What happens to the content of a media when another one replaces it.

    Attributes:
        count: How many contents the media keeps, the new one included; 1: the old one is removed.
        outcome: What the document says about the old one.
    """

    count: int = 1
    outcome: Mapping[str, Any] = field(default_factory=dict)


KEEP_NONE = Keep()
"""The replaced content is removed."""


class ListedDocument(NamedTuple):
    """The part of a media that lists show."""

    id: str
    document: Mapping[str, Any]


def prompt_id_of(document: Mapping[str, Any]) -> str | None:
    """Return the prompt id of a document, None for media that are not prompts."""
    value = document.get("prompt_id")
    return value if isinstance(value, str) and value else None


def language_of(document: Mapping[str, Any]) -> str | None:
    """Return the language of a document in lower case, None when it is missing or empty."""
    value = document.get("language")
    return value.lower() if isinstance(value, str) and value else None


def unix_time_ms() -> int:
    """Return the current time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def first_revision() -> str:
    """Return the revision of a new document."""
    return f"1-{secrets.token_hex(16)}"


def save_count(revision: str) -> int:
    """Return N of a revision."""
    return int(revision.partition("-")[0])


def next_revision(revision: str) -> str:
    """Return the revision of the next save."""
    return f"{save_count(revision) + 1}-{secrets.token_hex(16)}"


class FilterOperator(enum.Enum):
    """What a filter requires of a key. Kazoo's words for the operators are in crossbar/."""

    EQUALS = enum.auto()
    NOT_EQUALS = enum.auto()
    HAS_KEY = enum.auto()
    KEY_MISSING = enum.auto()
    HAS_VALUE = enum.auto()
    VALUE_MISSING = enum.auto()


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on a document.

    Values are compared as text: strings unchanged, true and false as those words, integers in
    decimal, other numbers as JSON prints them, a missing key or null as "". Objects and arrays
    equal nothing. HAS_KEY is true if the key exists, HAS_VALUE if its value is also none of null,
    "", 0, "0", [], {}.
    Source: Kazoo crossbar_filter.erl.

    Attributes:
        path: Keys from the top of the document down; `("id",)` is the media's id.
        values: For EQUALS and NOT_EQUALS: any of these; at least one.
    """

    path: tuple[str, ...]
    operator: FilterOperator
    values: tuple[str, ...] = ()

    @property
    def ignores_case(self) -> bool:
        """Return whether values are compared without case."""
        return self.path == ("language",)  # the published page promises it


@dataclass(frozen=True, slots=True)
class MediaQuery:
    """A selection of the media of an account, in the order of their ids by code point.

    Attributes:
        start: First id to return, inclusive; None: from the beginning (the end when descending).
        limit: Maximum number of rows, at least 1.
        deleted: Whether to select soft-deleted media instead of live ones.
        created_from_ms: Inclusive, Unix milliseconds; so are the other three bounds.
        with_recordings: Whether recordings are among them.
    """

    limit: int
    start: str | None = None
    descending: bool = False
    deleted: bool = False
    filters: tuple[Filter, ...] = ()
    created_from_ms: int | None = None
    created_to_ms: int | None = None
    modified_from_ms: int | None = None
    modified_to_ms: int | None = None
    with_recordings: bool = True


class BlobState(enum.StrEnum):
    """The life of a blob: pending, then live, then dead; or pending, then dead."""

    PENDING = "pending"
    LIVE = "live"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class BlobRow:
    """What the metadata store knows about a blob.

    Attributes:
        touched_ms: When the state last changed or a running upload last refreshed it.
        size_bytes: None while pending.
        sha256: None while pending.
        is_damaged: See `Rendition`.
    """

    account_id: str
    key: str
    state: BlobState
    touched_ms: int
    size_bytes: int | None = None
    sha256: str | None = None
    is_damaged: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """One tenant.

    Attributes:
        name: Unique among all accounts, compared by `account_key`.
        ancestor_ids: The root first, the parent last; empty for the master account.
        realm: Unique among all accounts, compared without case; "": none.
        key_generation: Number of the current API key; tokens of older generations are invalid.
    """

    id: str
    name: str
    ancestor_ids: tuple[str, ...]
    created_ms: int
    realm: str = ""
    language: str = "en-us"
    superduper_admin: bool = False
    key_generation: int = 1


def account_key(name: str) -> str:
    """Return the form in which names of accounts are compared: lower-case letters and digits.

    Source: Kazoo kzd_accounts:normalize_name/1.
    """
    return "".join(letter for letter in name.lower() if letter.isalnum())


@dataclass(frozen=True, slots=True)
class PlaybackKey:
    """A key that reads the audio of an account; the key itself is not stored.

    Attributes:
        id: Unique in the account, 32 lower-case hex digits.
        name: For people, perhaps of the switch that has it.
    """

    account_id: str
    id: str
    name: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class User:
    """A user who logs in to an account with a name and a password.

    Attributes:
        id: Unique everywhere, 32 lower-case hex digits; Kazoo's `owner_id`.
        name: Unique in the account.
    """

    account_id: str
    id: str
    name: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The public half of a node's signing key.

    Attributes:
        public_pem: SubjectPublicKeyInfo, PEM.
    """

    kid: str
    public_pem: str
    created_ms: int


DEFAULT_SCOPE = "default"
"""Scope of a setting's value for all nodes; every other scope is the name of a node."""


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One stored value of a setting.

    Attributes:
        scope: `DEFAULT_SCOPE` or a node's name.
        value: JSON value, never null.
    """

    category: str
    scope: str
    key: str
    value: Any
