"""Earlier contents of media, and deleted media, that are put back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_FIRST, _SECOND, _THIRD = tone(0.1), tone(0.2), tone(0.3)


@pytest.fixture(autouse=True)
def kept(rest: Rest) -> Iterator[None]:
    rest.put_setting("media", "kept_versions", 2)
    yield
    rest.put_setting("media", "kept_versions", None)


def test_an_earlier_content_is_listed_fetched_and_put_back(rest: Rest, tenant: Tenant) -> None:
    create(rest, tenant, id="m")
    for audio in (_FIRST, _SECOND, _THIRD):
        upload(rest, tenant, "m", audio)
    [version] = ask(rest, tenant, "GET {M}/m/versions").data
    number = version["version"]
    assert (version["content_type"], version["content_length"]) == ("audio/x-wav", len(_SECOND))
    old = ask(rest, tenant, f"GET {{M}}/m/raw?version={number}")
    assert old.body == _SECOND
    assert ask(rest, tenant, "GET {M}/m/raw").body == _THIRD
    put_back = ask(rest, tenant, "POST {M}/m/restore", {"data": {"version": number}})
    assert (put_back.status, put_back.data["content_length"]) == (200, len(_SECOND))
    now = ask(rest, tenant, "GET {M}/m/raw")
    assert (now.body, now.headers["etag"]) == (_SECOND, old.headers["etag"])
    [version] = ask(rest, tenant, "GET {M}/m/versions").data
    assert version["content_length"] == len(_THIRD)
    gone = ask(rest, tenant, f"GET {{M}}/m/raw?version={number}")
    assert (gone.status, gone.data["cause"]) == (404, str(number))


def test_a_link_serves_its_content_again_when_that_is_put_back(rest: Rest, tenant: Tenant) -> None:
    create(rest, tenant, id="m")
    upload(rest, tenant, "m", _FIRST)
    link = ask(rest, tenant, "POST {M}/m/link", {"data": {}}).data["link"]
    upload(rest, tenant, "m", _SECOND)
    assert rest.send("GET", link).status == 404
    [version] = ask(rest, tenant, "GET {M}/m/versions").data
    ask(rest, tenant, "POST {M}/m/restore", {"data": {"version": version["version"]}})
    assert rest.send("GET", link).body == _FIRST


def test_a_deleted_media_is_listed_and_restored_with_its_audio(rest: Rest, tenant: Tenant) -> None:
    create(rest, tenant, id="m", name="Hold")
    upload(rest, tenant, "m", _FIRST)
    ask(rest, tenant, "DELETE {M}/m")
    assert ask(rest, tenant, "GET {M}").data == []
    assert [each["id"] for each in ask(rest, tenant, "GET {M}?deleted=true").data] == ["m"]
    restored = ask(rest, tenant, "POST {M}/m/restore", {"data": {}})
    assert (restored.status, restored.data["name"]) == (200, "Hold")
    assert ask(rest, tenant, "GET {M}/m/raw").body == _FIRST
    assert ask(rest, tenant, "GET {M}?deleted=true").data == []
    ask(rest, tenant, "DELETE {M}/m?hard_delete=true")
    assert ask(rest, tenant, "POST {M}/m/restore", b"").status == 404


def test_by_default_no_earlier_content_is_kept(rest: Rest, tenant: Tenant) -> None:
    rest.put_setting("media", "kept_versions", None)
    create(rest, tenant, id="m")
    upload(rest, tenant, "m", _FIRST)
    upload(rest, tenant, "m", _SECOND)
    assert ask(rest, tenant, "GET {M}/m/versions").data == []


@table(
    [
        Case("GET {M}/wav/versions", 200, data=[]),
        Case("GET {M}/wav/versions", 401, token=False),
        Case("GET {M}/missing/versions", 404, message="bad_identifier"),
        Case("PUT {M}/wav/versions", 405, b"", answer={"allow": "OPTIONS, GET, HEAD"}),
        Case("GET {M}/wav/raw?version=x", 400, data=has(version=has())),
        Case("GET {M}/wav/raw?version=7", 404, message="bad_identifier"),
        Case("POST {M}/wav/restore", 404, {"data": {}}, message="bad_identifier"),
        Case("POST {M}/wav/restore", 404, {"data": {"version": 7}}, message="bad_identifier"),
        Case("POST {M}/wav/restore", 400, {"data": {"version": []}}, data=has(version=has())),
        Case("POST {M}/wav/restore", 415, b"x", {"content-type": "audio/x-wav"}),
        Case("GET {M}/wav/restore", 405),
    ]
)
def test_requests_are_checked(rest: Rest, shelf: Tenant, case: Case) -> None:
    case.run(rest, shelf)
