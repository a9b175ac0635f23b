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
from typing import Any

import orjson

from kazoo_media.access.accounts import AdminScope
from kazoo_media.audio.convert.converters import Backend
from kazoo_media.audio.presets import KAZOO, PRESET_NAMES, WAV_ENCODINGS
from kazoo_media.audio.programs.sox_arguments import executable_permitted, parse_arguments
from kazoo_media.audio.speech.provider import LARGEST_TEXT_CHARACTERS
from kazoo_media.errors import ValidationError, Violation
from kazoo_media.metadata.store import SettingStore
from kazoo_media.model import DEFAULT_SCOPE, SettingRow

GIB = 1024**3
_KINDS = {bool: "true or false", int: "an integer", str: "text", dict: "a JSON object"}


class Origin(enum.Enum):
    """Where a setting's value comes from."""

    BUILT_IN = enum.auto()
    DEFAULT = enum.auto()
    NODE = enum.auto()


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as a node sees it."""

    category: str
    key: str
    value: Any
    origin: Origin
    description: str


@dataclass(frozen=True, slots=True)
class _Known:
    """A setting that exists: its type is its built-in value's."""

    built_in: Any
    description: str
    check: Callable[[Any], str | None] = lambda _: None


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


def _account_ids(value: dict[str, object]) -> str | None:
    for name, account_id in value.items():
        if not name.strip():
            return "must have no empty names"
        if not isinstance(account_id, str) or not re.fullmatch("[0-9a-f]{32}", account_id):
            return f"must have 32 lower-case hex digits for {name!r}, not {account_id!r}"
    return None


KNOWN: Mapping[tuple[str, str], _Known] = {
    ("accounts", "client_names"): _Known(
        {},
        "Account ids by the names in client certificates that speak for them on the gRPC port.",
        _account_ids,
    ),
    ("crossbar", "max_upload_size"): _Known(
        512 * 1024**2, "Most bytes of one upload.", _between(1, 1024 * GIB)
    ),
    ("crossbar", "pagination_page_size"): _Known(
        50, "Rows of a list page when a request names no size.", _between(1, 10_000)
    ),
    ("crossbar.media", "normalize_media"): _Known(
        built_in=False, description="Whether uploads are normalized."
    ),
    ("crossbar.media", "normalization_format"): _Known(
        "mp3",
        "Format that uploads are normalized to.",
        _one_of("mp3", "wav", "ogg", "flac", "opus"),
    ),
    ("media", "normalize_preset"): _Known(
        KAZOO,
        "What normalization does: kazoo runs the command of the settings as it is.",
        _one_of(*PRESET_NAMES),
    ),
    ("media", "normalize_backend"): _Known(
        Backend.AUTO.value,
        "Converter of every preset but kazoo, which is always sox: sox, inprocess, or auto (in"
        " process where possible, sox otherwise).",
        _one_of(*Backend),
    ),
    ("media", "normalize_wav_encoding"): _Known(
        "linear16", "Samples of a WAV of every preset but kazoo.", _one_of(*WAV_ENCODINGS)
    ),
    ("media", "normalize_executable"): _Known(
        "sox", "Program that normalizes; its file name is one of KAZOO_MEDIA_CONVERTERS."
    ),
    ("media", "normalize_source_args"): _Known("", "sox options for its input.", _arguments),
    ("media", "normalize_destination_args"): _Known(
        "-r 8000", "sox options for its output.", _arguments
    ),
    ("media", "default_language"): _Known(
        "en-us",
        "Language of a document created without one.",
        lambda value: None if 0 < len(value) <= 64 else "must have 1 to 64 characters",
    ),
    ("media", "max_streaming_conversions"): _Known(
        64, "Conversions that run while their uploads do, in each worker.", _between(0, 1024)
    ),
    ("media", "max_queued_conversions"): _Known(
        256,
        "Uploads of a worker that may wait to be converted from their stored original.",
        _between(0, 65536),
    ),
    ("speech", "tts_provider"): _Known(
        "espeak", "Who speaks.", _one_of("espeak", "flite", "command", "ispeech")
    ),
    ("speech", "tts_command"): _Known(
        "",
        "Program of the provider command; its file name is one of KAZOO_MEDIA_CONVERTERS. It gets"
        " the voice as its only argument and the text on stdin, and writes WAV to stdout.",
    ),
    ("speech", "tts_url_ispeech"): _Known(
        "http://api.ispeech.org/api/json", "Where the provider ispeech is asked.", _url
    ),
    ("speech", "tts_api_key"): _Known("", "Key for the provider ispeech."),
    ("speech", "tts_speed"): _Known(0, "How fast ispeech speaks.", _between(-10, 10)),
    ("speech", "tts_start_padding"): _Known(
        1, "Seconds of silence that ispeech puts before the speech.", _between(0, 60)
    ),
    ("speech", "tts_end_padding"): _Known(
        0, "Seconds of silence that ispeech puts behind the speech.", _between(0, 60)
    ),
    ("speech", "tts_max_text_length"): _Known(
        10_000, "Most characters of a text to be spoken.", _between(1, LARGEST_TEXT_CHARACTERS)
    ),
    ("media", "cache_max_age_s"): _Known(
        0,
        "Seconds that a switch may cache audio without asking; 0: it asks every time.",
        _between(0, 31_536_000),
    ),
}
"""Every setting there is, by category and key."""


class Settings:
    """The settings of one node."""

    def __init__(self, store: SettingStore, node_name: str, converters: frozenset[str]) -> None:
        self._store = store
        self._node_name = node_name
        self._converters = converters
        self._revision = -1
        self._rows: dict[tuple[str, str, str], Any] = {}

    async def get(self, category: str, key: str) -> Any:  # noqa: ANN401 - a JSON value
        """Return the value in force on this node. Its type is that of the built-in value."""
        return (await self.now())(category, key)

    async def now(self) -> Callable[[str, str], Any]:
        """Return what `get` returns for any setting at this moment: for who needs several of
        them, as each `get` asks the store whether anything has changed.
        """
        await self._refresh()
        node_name, rows = self._node_name, self._rows
        return lambda category, key: _look_up(rows, category, key, node_name)[0]

    async def describe(
        self, scope: AdminScope, category: str, key: str, node: str
    ) -> list[Setting]:
        """Return settings as a node sees them, by category and key; empty strings leave open.

        Raises:
            ValidationError: no setting has this category and key.
        """
        del scope  # proves the permission
        await self._refresh()
        wanted = sorted(
            known for known in KNOWN if category in ("", known[0]) and key in ("", known[1])
        )
        if not wanted:
            raise _violation("key", f"there is no setting {category}.{key}")
        return [self._setting(each, node or self._node_name) for each in wanted]

    async def put(
        self, scope: AdminScope, category: str, key: str, value: object, *, node: str | None
    ) -> Setting:
        """Store a value for one node ("": this one) or, with None, for all nodes; return the
        setting as seen.

        A value of None removes the stored one. Text is taken as the setting's type where it reads
        as that.

        Raises:
            ValidationError: unknown setting, wrong type, or a value that is not permitted.
        """
        del scope  # proves the permission
        if (category, key) not in KNOWN:
            raise _violation("key", f"there is no setting {category}.{key}")
        stored_scope = DEFAULT_SCOPE if node is None else node or self._node_name
        if value is None:
            await self._store.remove_setting(category, stored_scope, key)
        else:
            checked = self._checked(category, key, value)
            await self._store.put_setting(SettingRow(category, stored_scope, key, checked))
        await self._refresh()
        return self._setting((category, key), node or self._node_name)

    async def flush(self, scope: AdminScope) -> None:
        """Make every worker of every node read the settings anew."""
        del scope  # proves the permission
        await self._store.bump_settings_revision()

    async def _refresh(self) -> None:
        revision = await self._store.settings_revision()
        if revision != self._revision:
            rows = await self._store.list_settings()
            self._rows = {(row.category, row.scope, row.key): row.value for row in rows}
            self._revision = revision

    def _setting(self, name: tuple[str, str], node: str) -> Setting:
        value, origin = _look_up(self._rows, *name, node)
        return Setting(*name, value, origin, KNOWN[name].description)

    def _checked(self, category: str, key: str, value: object) -> object:
        known = KNOWN[category, key]
        converted = _coerced(value, type(known.built_in))
        if converted is None:
            kind = _KINDS[type(known.built_in)]
            raise _violation("value", f"{category}.{key} must be {kind}, not {value!r}")
        problem = known.check(converted)
        is_program = key == "normalize_executable" or (key == "tts_command" and converted)
        if is_program and not executable_permitted(str(converted), self._converters):
            problem = f"file name must be one of {', '.join(sorted(self._converters))}"
        if problem:
            shown = "" if isinstance(converted, dict) else f", not {value!r}"
            raise _violation("value", f"{category}.{key} {problem}{shown}")
        return converted


def _look_up(
    rows: Mapping[tuple[str, str, str], Any], category: str, key: str, node: str
) -> tuple[Any, Origin]:
    for scope, origin in ((node, Origin.NODE), (DEFAULT_SCOPE, Origin.DEFAULT)):
        if (category, scope, key) in rows:
            return rows[category, scope, key], origin
    return KNOWN[category, key].built_in, Origin.BUILT_IN


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
