"""Settings: precedence, checks, and that changes count at once."""

from __future__ import annotations

import pytest

from kazoo_media.access.accounts import AdminScope
from kazoo_media.errors import ValidationError
from kazoo_media.model import DEFAULT_SCOPE, SettingRow
from kazoo_media.settings import (
    DEFAULT_LANGUAGE,
    KNOWN,
    NORMALIZATION_FORMAT,
    NORMALIZE_MEDIA,
    Origin,
    Settings,
)
from tests.support.memory_metadata import MemoryMetadataStore

_ADMIN = AdminScope()


@pytest.fixture
def store() -> MemoryMetadataStore:
    return MemoryMetadataStore()


def _settings(store: MemoryMetadataStore, node: str = "node1") -> Settings:
    return Settings(store, node, frozenset({"sox"}))


async def test_a_node_wins_over_the_default_and_that_over_the_built_in_value(
    store: MemoryMetadataStore,
) -> None:
    here, there = _settings(store), _settings(store, "node2")
    setting = NORMALIZATION_FORMAT
    assert await here.get(setting) == "mp3"
    default = await here.put(_ADMIN, *setting.name, "ogg", node=None)
    assert (default.value, default.origin) == ("ogg", Origin.DEFAULT)
    own = await here.put(_ADMIN, *setting.name, "wav", node="")
    assert (own.value, own.origin) == ("wav", Origin.NODE)
    assert (await here.get(setting), await there.get(setting)) == ("wav", "ogg")
    back = await here.put(_ADMIN, *setting.name, None, node="")
    assert (back.value, back.origin) == ("ogg", Origin.DEFAULT)


async def test_a_change_is_seen_by_every_other_worker_at_its_next_read(
    store: MemoryMetadataStore,
) -> None:
    one, other = _settings(store), _settings(store)
    assert await other.get(NORMALIZE_MEDIA) is False
    await one.put(_ADMIN, "crossbar.media", "normalize_media", "true", node=None)
    assert await other.get(NORMALIZE_MEDIA) is True


async def test_flush_makes_workers_read_what_was_changed_by_hand(
    store: MemoryMetadataStore,
) -> None:
    settings = _settings(store)
    await settings.get(DEFAULT_LANGUAGE)
    store._settings["media", DEFAULT_SCOPE, "default_language"] = SettingRow(
        "media", DEFAULT_SCOPE, "default_language", "fr-fr"
    )
    await settings.flush(_ADMIN)
    assert await settings.get(DEFAULT_LANGUAGE) == "fr-fr"


@pytest.mark.parametrize(
    ("category", "key", "value", "stored"),
    [
        ("crossbar.media", "normalize_media", "true", True),
        ("crossbar.media", "normalize_media", False, False),
        ("crossbar", "max_upload_size", "1073741824", 1024**3),
        ("crossbar", "max_upload_size", 5.0, 5),
        ("accounts", "client_names", {"a.example": "0" * 32}, {"a.example": "0" * 32}),
        ("accounts", "client_names", f'{{"a.example":"{"0" * 32}"}}', {"a.example": "0" * 32}),
        ("accounts", "client_names", "{}", {}),
        ("media", "normalize_executable", "/opt/bin/sox", "/opt/bin/sox"),
        ("media", "normalize_destination_args", "-r 16000 -c 1 -C 64.7", "-r 16000 -c 1 -C 64.7"),
    ],
)
async def test_values_are_taken_as_the_type_of_the_setting(
    store: MemoryMetadataStore, category: str, key: str, value: object, stored: object
) -> None:
    setting = await _settings(store).put(_ADMIN, category, key, value, node=None)
    assert setting.value == stored
    assert type(setting.value) is type(stored)


@pytest.mark.parametrize(
    ("category", "key", "value"),
    [
        ("crossbar.media", "normalize_media", "perhaps"),
        ("crossbar.media", "normalize_media", 1),
        ("crossbar.media", "normalization_format", "exe"),
        ("crossbar", "max_upload_size", 0),
        ("crossbar", "max_upload_size", "many"),
        ("crossbar", "max_upload_size", True),
        ("media", "normalize_executable", "/bin/sh"),
        ("media", "normalize_executable", "sox; rm -rf /"),
        ("media", "normalize_source_args", "|touch /tmp/x"),
        ("media", "normalize_destination_args", "/etc/passwd"),
        ("media", "normalize_destination_args", "-r"),
        ("media", "default_language", ""),
        ("media", "default_language", 7),
        ("media", "default_language", {"a": "b"}),
        ("accounts", "client_names", "a.example"),
        ("accounts", "client_names", ["a.example"]),
        ("accounts", "client_names", '["a.example"]'),
        ("accounts", "client_names", {"": "0" * 32}),
        ("accounts", "client_names", {" ": "0" * 32}),
        ("accounts", "client_names", {"a.example": "0" * 31}),
        ("accounts", "client_names", {"a.example": "A" * 32}),
        ("accounts", "client_names", {"a.example": 7}),
        ("media", "language_fallback", {"fr": ""}),
        ("media", "language_fallback", {"fr": 1}),
        ("media", "link_base_url", "media.example.com"),
        ("media", "link_base_url", "https://media.example.com?x"),
        ("media", "no_such_key", "x"),
    ],
)
async def test_what_is_not_permitted_is_refused_and_nothing_is_stored(
    store: MemoryMetadataStore, category: str, key: str, value: object
) -> None:
    with pytest.raises(ValidationError):
        await _settings(store).put(_ADMIN, category, key, value, node=None)
    assert await store.list_settings() == []


async def test_describe_lists_every_setting_with_its_meaning(store: MemoryMetadataStore) -> None:
    listed = await _settings(store).describe(_ADMIN, "", "", "")
    assert [each.setting.name for each in listed] == sorted(KNOWN)
    assert all(each.setting.description for each in listed)
    with pytest.raises(ValidationError):
        await _settings(store).describe(_ADMIN, "media", "nothing", "")
