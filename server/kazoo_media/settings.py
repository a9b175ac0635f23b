"""Settings: Kazoo's system_config, changeable while the service runs.

A node's value wins over the default for all nodes, which wins over the built-in one. Values are
checked when they are written, so readers can trust them. What a process has read stays valid as
long as the store's settings revision does: a change counts for the next request of every worker.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

from kazoo_media.access.accounts import AdminScope
from kazoo_media.audio.convert.converters import Backend
from kazoo_media.audio.presets import KAZOO, PRESET_NAMES, WAV_ENCODINGS
from kazoo_media.audio.programs.sox_arguments import executable_permitted, parse_arguments
from kazoo_media.audio.speech.provider import MAX_TEXT_CHARACTERS
from kazoo_media.errors import ValidationError, Violation
from kazoo_media.metadata.store import SettingStore
from kazoo_media.model import DEFAULT_SCOPE, SettingRow

T = TypeVar("T")

_GIB = 1024**3
_KINDS = {bool: "true or false", int: "an integer", str: "text", dict: "a JSON object"}


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """A setting that exists.

    Attributes:
        built_in: The value where none is stored; its type is the setting's.
        description: What it decides, for operators.
        check: Returns what is wrong with a value, None if nothing is.
        names_program: Whether the value names a program, which then must be permitted.
    """

    category: str
    key: str
    built_in: T
    description: str
    check: Callable[[T], str | None] = lambda _: None
    names_program: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """Return what no other setting has."""
        return self.category, self.key


class Origin(enum.Enum):
    """Where a setting's value comes from."""

    BUILT_IN = enum.auto()
    DEFAULT = enum.auto()
    NODE = enum.auto()


@dataclass(frozen=True, slots=True)
class SeenSetting:
    """A setting as a node sees it."""

    setting: Setting[Any]
    value: Any
    origin: Origin


def _between(low: int, high: int) -> Callable[[Any], str | None]:
    return lambda value: None if low <= value <= high else f"must be {low} to {high}"


def _one_of(*permitted: str) -> Callable[[Any], str | None]:
    return lambda value: None if value in permitted else f"must be one of {', '.join(permitted)}"


def _arguments(value: str) -> str | None:
    try:
        parse_arguments(value)
    except ValueError as error:
        return str(error)
    return None


def _url(value: str) -> str | None:
    is_url = re.fullmatch(r"https?://[^\s/]+(/\S*)?", value)
    return None if is_url else "must be a URL that begins with http:// or https://"


def _account_ids(value: Mapping[str, object]) -> str | None:
    for name, account_id in value.items():
        if not name.strip():
            return "must have no empty names"
        if not isinstance(account_id, str) or not re.fullmatch("[0-9a-f]{32}", account_id):
            return f"must have 32 lower-case hex digits for {name!r}, not {account_id!r}"
    return None


CLIENT_NAMES: Setting[dict[str, str]] = Setting(
    "accounts",
    "client_names",
    {},
    "Account ids by the names in client certificates that speak for them on the gRPC port.",
    _account_ids,
)
MAX_UPLOAD_SIZE = Setting(
    "crossbar",
    "max_upload_size",
    512 * 1024**2,
    "Most bytes of one upload.",
    _between(1, 1024 * _GIB),
)
PAGINATION_PAGE_SIZE = Setting(
    "crossbar",
    "pagination_page_size",
    50,
    "Rows of a list page when a request names no size.",
    _between(1, 10_000),
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
    "Format that uploads are normalized to.",
    _one_of("mp3", "wav", "ogg", "flac", "opus"),
)
NORMALIZE_PRESET = Setting(
    "media",
    "normalize_preset",
    KAZOO,
    "What normalization does: kazoo runs the command of the settings as it is.",
    _one_of(*PRESET_NAMES),
)
NORMALIZE_BACKEND = Setting(
    "media",
    "normalize_backend",
    Backend.AUTO.value,
    "Converter of every preset but kazoo, which is always sox: sox, inprocess, or auto (in"
    " process where possible, sox otherwise).",
    _one_of(*Backend),
)
NORMALIZE_WAV_ENCODING = Setting(
    "media",
    "normalize_wav_encoding",
    "linear16",
    "Samples of a WAV of every preset but kazoo.",
    _one_of(*WAV_ENCODINGS),
)
NORMALIZE_EXECUTABLE = Setting(
    "media",
    "normalize_executable",
    "sox",
    "Program that normalizes; its file name is one of KAZOO_MEDIA_CONVERTERS.",
    names_program=True,
)
NORMALIZE_SOURCE_ARGS = Setting(
    "media", "normalize_source_args", "", "sox options for its input.", _arguments
)
NORMALIZE_DESTINATION_ARGS = Setting(
    "media", "normalize_destination_args", "-r 8000", "sox options for its output.", _arguments
)
DEFAULT_LANGUAGE = Setting(
    "media",
    "default_language",
    "en-us",
    "Language of a document created without one.",
    lambda value: None if 0 < len(value) <= 64 else "must have 1 to 64 characters",
)
MAX_STREAMING_CONVERSIONS = Setting(
    "media",
    "max_streaming_conversions",
    64,
    "Conversions that run while their uploads do, in each worker.",
    _between(0, 1024),
)
MAX_QUEUED_CONVERSIONS = Setting(
    "media",
    "max_queued_conversions",
    256,
    "Uploads of a worker that may wait to be converted from their stored original.",
    _between(0, 65536),
)
TTS_PROVIDER = Setting(
    "speech",
    "tts_provider",
    "espeak",
    "Who speaks.",
    _one_of("espeak", "flite", "command", "ispeech"),
)
TTS_COMMAND = Setting(
    "speech",
    "tts_command",
    "",
    "Program of the provider command; its file name is one of KAZOO_MEDIA_CONVERTERS. It gets"
    " the voice as its only argument and the text on stdin, and writes WAV to stdout.",
    names_program=True,
)
TTS_URL_ISPEECH = Setting(
    "speech",
    "tts_url_ispeech",
    "http://api.ispeech.org/api/json",
    "Where the provider ispeech is asked.",
    _url,
)
TTS_API_KEY = Setting("speech", "tts_api_key", "", "Key for the provider ispeech.")
TTS_SPEED = Setting("speech", "tts_speed", 0, "How fast ispeech speaks.", _between(-10, 10))
TTS_START_PADDING = Setting(
    "speech",
    "tts_start_padding",
    1,
    "Seconds of silence that ispeech puts before the speech.",
    _between(0, 60),
)
TTS_END_PADDING = Setting(
    "speech",
    "tts_end_padding",
    0,
    "Seconds of silence that ispeech puts behind the speech.",
    _between(0, 60),
)
TTS_MAX_TEXT_LENGTH = Setting(
    "speech",
    "tts_max_text_length",
    10_000,
    "Most characters of a text to be spoken.",
    _between(1, MAX_TEXT_CHARACTERS),
)
CACHE_MAX_AGE_S = Setting(
    "media",
    "cache_max_age_s",
    0,
    "Seconds that a switch may cache audio without asking; 0: it asks every time.",
    _between(0, 31_536_000),
)

KNOWN: Mapping[tuple[str, str], Setting[Any]] = {
    each.name: each for each in tuple(globals().values()) if isinstance(each, Setting)
}
"""Every setting there is."""


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
        """Return the values of all settings at this moment: for callers that need several, as each
        `get` asks the store whether anything has changed.
        """
        await self._refresh()
        return SettingValues(self._rows, self._node_name)

    async def describe(
        self, scope: AdminScope, category: str, key: str, node: str
    ) -> list[SeenSetting]:
        """Return settings as a node sees them, by category and key; empty strings leave open.

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
        """Store a value for one node ("": this one) or, with None, for all nodes; return the
        setting as seen.

        A value of None removes the stored one. Text is taken as the setting's type where it reads
        as that.

        Raises:
            ValidationError: unknown setting, wrong type, or a value that is not permitted.
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
        # Where the built-in value is no program, that is permitted.
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
    """Return the value as `kind`, None where it does not read as that."""
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
        value = _parsed(value)
    return value if kind in (str, dict) and isinstance(value, kind) else None


def _parsed(text: str) -> object:
    """Return what JSON text says, None where it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _violation(field: str, message: str) -> ValidationError:
    return ValidationError([Violation(field, "invalid", message, {})])
