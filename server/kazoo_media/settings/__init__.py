"""Settings: Kazoo's system_config, changeable while the service runs.

A node's value wins over the default for all nodes, which wins over the built-in one. Values are
checked when they are written, so readers can trust them. A process keeps the values that it has
read until the store's settings revision changes: every worker applies a change to its next request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from kazoo_media.access.accounts import AdminScope
from kazoo_media.audio.convert.converters import Backend
from kazoo_media.audio.presets import KAZOO, PRESET_NAMES, WAV_ENCODINGS
from kazoo_media.audio.programs.sox_arguments import executable_permitted
from kazoo_media.audio.speech.provider import MAX_TEXT_CHARACTERS
from kazoo_media.errors import ValidationError, Violation
from kazoo_media.metadata.store import SettingStore
from kazoo_media.model import DEFAULT_SCOPE, SettingRow
from kazoo_media.settings.checks import (
    account_ids,
    arguments,
    base_url,
    between,
    languages,
    one_of,
    url,
)
from kazoo_media.settings.setting import Origin as Origin
from kazoo_media.settings.setting import Setting as Setting

T = TypeVar("T")

NO_ARCHIVE = "none"
"""The preset of recordings that are not archived."""

_GIB = 1024**3
_KINDS = {bool: "true or false", int: "an integer", str: "text", dict: "a JSON object"}


@dataclass(frozen=True, slots=True)
class SeenSetting:
    """A setting as a node sees it."""

    setting: Setting[Any]
    value: Any
    origin: Origin


CLIENT_NAMES: Setting[dict[str, str]] = Setting(
    "accounts",
    "client_names",
    {},
    "Account ids that clients act for on the gRPC port, by the names in their certificates.",
    account_ids,
)
MAX_UPLOAD_SIZE = Setting(
    "crossbar",
    "max_upload_size",
    512 * 1024**2,
    "Maximum size of one upload in bytes.",
    between(1, 1024 * _GIB),
)
PAGINATION_PAGE_SIZE = Setting(
    "crossbar",
    "pagination_page_size",
    50,
    "Rows on a list page if the request names no page size.",
    between(1, 10_000),
)
NORMALIZE_MEDIA = Setting(
    "crossbar.media",
    "normalize_media",
    built_in=False,
    description="Whether uploads are normalized.",
)
NORMALIZATION_FORMAT = Setting(
    "crossbar.media",
    "normalization_format",
    "mp3",
    "Target format of normalization.",
    one_of("mp3", "wav", "ogg", "flac", "opus"),
)
NORMALIZE_PRESET = Setting(
    "media",
    "normalize_preset",
    KAZOO,
    "Preset for normalization; kazoo runs exactly the command given by the settings.",
    one_of(*PRESET_NAMES),
)
NORMALIZE_BACKEND = Setting(
    "media",
    "normalize_backend",
    Backend.AUTO.value,
    "Converter for all presets except kazoo, which always uses sox: sox, inprocess, or auto (in"
    " process where possible, sox otherwise).",
    one_of(*Backend),
)
NORMALIZE_WAV_ENCODING = Setting(
    "media",
    "normalize_wav_encoding",
    "linear16",
    "Sample encoding of WAV output for all presets except kazoo.",
    one_of(*WAV_ENCODINGS),
)
NORMALIZE_EXECUTABLE = Setting(
    "media",
    "normalize_executable",
    "sox",
    "Program that normalizes; KAZOO_MEDIA_CONVERTERS must list its file name.",
    names_program=True,
)
NORMALIZE_SOURCE_ARGS = Setting(
    "media", "normalize_source_args", "", "sox options for the input.", arguments
)
NORMALIZE_DESTINATION_ARGS = Setting(
    "media", "normalize_destination_args", "-r 8000", "sox options for the output.", arguments
)
DEFAULT_LANGUAGE = Setting(
    "media",
    "default_language",
    "en-us",
    "Language of documents that are created without one.",
    lambda value: None if 0 < len(value) <= 64 else "must have 1 to 64 characters",
)
LANGUAGE_FALLBACK: Setting[dict[str, str]] = Setting(
    "media",
    "language_fallback",
    {
        "de": "de-de",
        "en": "en-us",
        "es": "es-es",
        "fr": "fr-fr",
        "it": "it-it",
        "nl": "nl-nl",
        "pt": "pt-pt",
        "ru": "ru-ru",
    },
    "Languages to look for in place of others when a prompt is resolved.",
    languages,
)
MAX_STREAMING_CONVERSIONS = Setting(
    "media",
    "max_streaming_conversions",
    64,
    "Maximum number of conversions that run during their uploads, per worker.",
    between(0, 1024),
)
MAX_QUEUED_CONVERSIONS = Setting(
    "media",
    "max_queued_conversions",
    256,
    "Maximum number of uploads that wait to be converted from their stored original, per worker.",
    between(0, 65536),
)
TTS_PROVIDER = Setting(
    "speech",
    "tts_provider",
    "espeak",
    "Text-to-speech engine.",
    one_of("espeak", "flite", "command", "ispeech"),
)
TTS_COMMAND = Setting(
    "speech",
    "tts_command",
    "",
    "Program for the provider command; KAZOO_MEDIA_CONVERTERS must list its file name. It gets"
    " the voice as its only argument and the text on stdin, and writes WAV to stdout.",
    names_program=True,
)
TTS_URL_ISPEECH = Setting(
    "speech", "tts_url_ispeech", "http://api.ispeech.org/api/json", "URL of the iSpeech API.", url
)
TTS_API_KEY = Setting("speech", "tts_api_key", "", "API key for iSpeech.")
TTS_SPEED = Setting("speech", "tts_speed", 0, "Speaking rate for iSpeech.", between(-10, 10))
TTS_START_PADDING = Setting(
    "speech",
    "tts_start_padding",
    1,
    "Seconds of silence that iSpeech adds before the speech.",
    between(0, 60),
)
TTS_END_PADDING = Setting(
    "speech",
    "tts_end_padding",
    0,
    "Seconds of silence that iSpeech adds after the speech.",
    between(0, 60),
)
TTS_MAX_TEXT_LENGTH = Setting(
    "speech",
    "tts_max_text_length",
    10_000,
    "Maximum length of a text to be spoken, in characters.",
    between(1, MAX_TEXT_CHARACTERS),
)
CACHE_MAX_AGE_S = Setting(
    "media",
    "cache_max_age_s",
    0,
    "Seconds for which a switch may cache audio without revalidation; 0: it revalidates each time.",
    between(0, 31_536_000),
)
LINK_BASE_URL = Setting(
    "media",
    "link_base_url",
    "",
    "URL that links begin with, https://media.example.com for example; empty: they begin with /.",
    base_url,
)
KEPT_VERSIONS = Setting(
    "media",
    "kept_versions",
    1,
    "Contents that a media keeps when its audio is replaced, the present one included.",
    between(1, 100),
)
IDLE_MINUTES = Setting(
    "recordings",
    "idle_minutes",
    60,
    "Minutes that a recorder may be away before its recording is kept as incomplete.",
    between(1, 10_080),
)
ARCHIVE_PRESET = Setting(
    "recordings",
    "archive_preset",
    NO_ARCHIVE,
    "Preset that finished recordings are converted with; none: as uploads are.",
    one_of(NO_ARCHIVE, *PRESET_NAMES),
)
KEEP_ORIGINAL = Setting(
    "recordings",
    "keep_original",
    built_in=True,
    description="Whether the original of an archived recording is kept.",
)
SCRUB_DAYS = Setting(
    "blobs",
    "scrub_days",
    30,
    "Days in which all stored audio is read and compared with its SHA-256; 0: never.",
    between(0, 3650),
)
REDIRECT_S = Setting(
    "blobs", "redirect_s", 0, "Seconds of a redirect to the bucket; 0: none.", between(0, 604_800)
)

KNOWN: Mapping[tuple[str, str], Setting[Any]] = {
    each.name: each for each in tuple(globals().values()) if isinstance(each, Setting)
}
"""All settings by category and key."""


@dataclass(frozen=True, slots=True)
class SettingValues:
    """The values in force on a node at one moment."""

    _rows: Mapping[tuple[str, str, str], Any]
    _node_name: str

    def __getitem__(self, setting: Setting[T]) -> T:
        value: T = _look_up(self._rows, setting, self._node_name)[0]
        return value


class Settings:
    """The settings of one node."""

    def __init__(self, store: SettingStore, node_name: str, converters: frozenset[str]) -> None:
        self._store = store
        self._node_name = node_name
        self._converters = converters
        self._revision = -1
        self._rows: dict[tuple[str, str, str], Any] = {}

    async def get(self, setting: Setting[T]) -> T:
        """Return the value in force on this node."""
        return (await self.now())[setting]

    async def now(self) -> SettingValues:
        """Return all current values; unlike several `get`, one look at the store's revision."""
        await self._refresh()
        return SettingValues(self._rows, self._node_name)

    async def describe(
        self, scope: AdminScope, category: str, key: str, node: str
    ) -> list[SeenSetting]:
        """Return settings as a node sees them, by category and key; "" matches every one.

        Raises:
            ValidationError: no setting has this category and key.
        """
        del scope  # proves the permission
        await self._refresh()
        ordered = (KNOWN[name] for name in sorted(KNOWN))
        wanted = [
            each for each in ordered if category in ("", each.category) and key in ("", each.key)
        ]
        if not wanted:
            raise _violation("key", f"there is no setting {category}.{key}")
        return [self._seen(each, node or self._node_name) for each in wanted]

    async def put(
        self, scope: AdminScope, category: str, key: str, value: object, *, node: str | None
    ) -> SeenSetting:
        """Store a value and return the setting as the node now sees it.

        Text is converted to the setting's type if possible.

        Args:
            value: None removes the stored value.
            node: Where the value applies; "": on this node, None: on all nodes.

        Raises:
            ValidationError: the setting is unknown, or the value is not permitted.
        """
        del scope  # proves the permission
        setting = KNOWN.get((category, key))
        if setting is None:
            raise _violation("key", f"there is no setting {category}.{key}")
        stored_scope = DEFAULT_SCOPE if node is None else node or self._node_name
        if value is None:
            await self._store.remove_setting(category, stored_scope, key)
        else:
            checked = self._checked(setting, value)
            await self._store.put_setting(SettingRow(category, stored_scope, key, checked))
        await self._refresh()
        return self._seen(setting, node or self._node_name)

    async def flush(self, scope: AdminScope) -> None:
        """Make every worker of every node read the settings again."""
        del scope  # proves the permission
        await self._store.bump_settings_revision()

    async def _refresh(self) -> None:
        revision = await self._store.settings_revision()
        if revision != self._revision:
            rows = await self._store.list_settings()
            self._rows = {(row.category, row.scope, row.key): row.value for row in rows}
            self._revision = revision

    def _seen(self, setting: Setting[Any], node: str) -> SeenSetting:
        value, origin = _look_up(self._rows, setting, node)
        return SeenSetting(setting, value, origin)

    def _checked(self, setting: Setting[Any], value: object) -> object:
        name = ".".join(setting.name)
        converted = _coerced(value, type(setting.built_in))
        if converted is None:
            kind = _KINDS[type(setting.built_in)]
            raise _violation("value", f"{name} must be {kind}, not {value!r}")
        problem = setting.check(converted)
        # "" means no program; it is permitted where it is the built-in value.
        names_program = setting.names_program and not converted == setting.built_in == ""
        if names_program and not executable_permitted(str(converted), self._converters):
            problem = f"file name must be one of {', '.join(sorted(self._converters))}"
        if problem:
            shown = "" if isinstance(converted, dict) else f", not {value!r}"
            raise _violation("value", f"{name} {problem}{shown}")
        return converted


def _look_up(
    rows: Mapping[tuple[str, str, str], Any], setting: Setting[Any], node: str
) -> tuple[Any, Origin]:
    for scope, origin in ((node, Origin.NODE), (DEFAULT_SCOPE, Origin.DEFAULT)):
        row = (setting.category, scope, setting.key)
        if row in rows:
            return rows[row], origin
    return setting.built_in, Origin.BUILT_IN


def _coerced(value: object, kind: type) -> object | None:
    """Return the value as `kind`, or None if it cannot be converted."""
    if kind is bool:
        return (
            value
            if isinstance(value, bool)
            else {"true": True, "false": False}.get(str(value).lower())
        )
    if kind is int and not isinstance(value, bool):
        if isinstance(value, float) and value.is_integer():
            return int(value)
        text = str(value).strip()
        return int(text) if text.lstrip("-").isdecimal() else None
    if kind is dict and isinstance(value, str):
        with contextlib.suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
    return value if kind in (str, dict) and isinstance(value, kind) else None


def _violation(field: str, message: str) -> ValidationError:
    return ValidationError([Violation(field, "invalid", message, {})])
