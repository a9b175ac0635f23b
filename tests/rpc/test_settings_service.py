"""SettingsService: values in force, who may change them."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Value

from kazoo_media.rpc.values import from_value, to_value
from kazoo_media.v1.settings_service_pb2 import (
    FlushSettingsRequest,
    GetSettingsRequest,
    SetDefaultSettingRequest,
    SetSettingRequest,
    Setting,
)
from kazoo_media.v1.settings_service_pb2_grpc import SettingsServiceStub
from tests.rpc.service import refused

_FORMAT: dict[str, Any] = {"category": "crossbar.media", "key": "normalization_format"}


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[SettingsServiceStub]:
    return SettingsServiceStub


@pytest.fixture(autouse=True)
def unset(admin_stub: Any) -> None:
    """Leave no value of another test behind."""
    null = to_value(None)
    admin_stub.SetSetting(SetSettingRequest(**_FORMAT, value=null))
    admin_stub.SetDefaultSetting(SetDefaultSettingRequest(**_FORMAT, value=null))


def _seen(setting: Setting) -> tuple[Any, int]:
    return from_value(setting.value, "value"), setting.origin


def test_all_settings_are_listed_with_their_built_in_values(admin_stub: Any) -> None:
    settings = admin_stub.GetSettings(GetSettingsRequest()).settings
    names = [(each.category, each.key) for each in settings]
    assert names == sorted(names)
    assert ("crossbar.media", "normalize_media") in names
    assert all(each.description for each in settings)
    found = {(each.category, each.key): _seen(each) for each in settings}
    limit = found["crossbar", "max_upload_size"]
    assert limit == (512 * 1024**2, Setting.ORIGIN_BUILT_IN)
    assert type(limit[0]) is int


def test_one_category_or_one_key_can_be_asked_for(admin_stub: Any) -> None:
    found = admin_stub.GetSettings(GetSettingsRequest(category="crossbar.media")).settings
    assert {each.category for each in found} == {"crossbar.media"}
    (one,) = admin_stub.GetSettings(GetSettingsRequest(**_FORMAT)).settings
    assert _seen(one) == ("mp3", Setting.ORIGIN_BUILT_IN)


def test_a_node_wins_over_the_default_and_the_default_over_the_built_in(admin_stub: Any) -> None:
    def seen_by(node: str) -> tuple[Any, int]:
        (one,) = admin_stub.GetSettings(GetSettingsRequest(**_FORMAT, node=node)).settings
        return _seen(one)

    default = SetDefaultSettingRequest(**_FORMAT, value=to_value("wav"))
    assert _seen(admin_stub.SetDefaultSetting(default).setting) == ("wav", Setting.ORIGIN_DEFAULT)
    own = SetSettingRequest(**_FORMAT, value=to_value("ogg"))
    assert _seen(admin_stub.SetSetting(own).setting) == ("ogg", Setting.ORIGIN_NODE)
    assert seen_by("") == ("ogg", Setting.ORIGIN_NODE)
    assert seen_by("elsewhere") == ("wav", Setting.ORIGIN_DEFAULT)
    assert _seen(admin_stub.SetDefaultSetting(default).setting) == ("ogg", Setting.ORIGIN_NODE)


def test_null_removes_a_value(admin_stub: Any) -> None:
    admin_stub.SetSetting(SetSettingRequest(**_FORMAT, value=to_value("ogg")))
    removed = admin_stub.SetSetting(SetSettingRequest(**_FORMAT, value=to_value(None)))
    assert _seen(removed.setting) == ("mp3", Setting.ORIGIN_BUILT_IN)


def test_a_forgotten_value_removes_nothing(admin_stub: Any) -> None:
    admin_stub.SetSetting(SetSettingRequest(**_FORMAT, value=to_value("ogg")))
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        admin_stub.SetSetting(SetSettingRequest(**_FORMAT))
    assert refusal.fields == ["value"]
    (one,) = admin_stub.GetSettings(GetSettingsRequest(**_FORMAT)).settings
    assert _seen(one) == ("ogg", Setting.ORIGIN_NODE)


@pytest.mark.parametrize(
    ("category", "key", "value"),
    [
        ("media", "no_such_setting", "x"),
        ("crossbar.media", "normalize_media", 5),
        ("crossbar.media", "normalization_format", "exe"),
        ("media", "normalize_executable", "/bin/sh"),
        ("media", "normalize_destination_args", "; rm"),
        ("crossbar", "max_upload_size", 0),
        ("crossbar", "max_upload_size", {"a": 1}),
    ],
)
def test_what_is_not_permitted_is_refused(
    admin_stub: Any, category: str, key: str, value: object
) -> None:
    fields: dict[str, Any] = {"category": category, "key": key, "value": to_value(value)}
    with refused("INVALID_ARGUMENT", "VALIDATION"):
        admin_stub.SetSetting(SetSettingRequest(**fields))
    with refused("INVALID_ARGUMENT", "VALIDATION"):
        admin_stub.SetDefaultSetting(SetDefaultSettingRequest(**fields))


def test_an_unknown_setting_can_not_be_read(admin_stub: Any) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION"):
        admin_stub.GetSettings(GetSettingsRequest(category="none.such"))


def test_settings_can_be_flushed(admin_stub: Any) -> None:
    admin_stub.FlushSettings(FlushSettingsRequest())


def test_only_admins_read_and_write_settings(stub: Any) -> None:
    value = Value(string_value="wav")
    calls = [
        (stub.GetSettings, GetSettingsRequest()),
        (stub.SetSetting, SetSettingRequest(**_FORMAT, value=value)),
        (stub.SetDefaultSetting, SetDefaultSettingRequest(**_FORMAT, value=value)),
        (stub.FlushSettings, FlushSettingsRequest()),
    ]
    for call, request in calls:
        with refused("PERMISSION_DENIED", "FORBIDDEN"):
            call(request)
