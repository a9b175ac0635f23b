"""The voices of the speech provider, and the documents that name them."""

from __future__ import annotations

import pytest

from kazoo_media.audio.speech.provider import VOICE_NAMES
from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import ask, has

pytestmark = pytest.mark.gateway


@pytest.mark.parametrize("path", ["{M}/tts/voices", "/v2/media/tts/voices", "/v1/media/tts/voices"])
def test_an_account_and_the_system_scope_list_the_voices(
    rest: Rest, tenant: Tenant, path: str
) -> None:
    listed = ask(rest, tenant, f"GET {path}")
    assert (listed.status, listed.json["status"]) == (200, "success")
    assert listed.data[0] == {
        "name": "female/en-US",
        "locale": "en-US",
        "gender": "female",
        "engine_voice": "en-us+f3",
    }
    # More than a page of a list has: these come all at once.
    assert [row["name"] for row in listed.data] == list(VOICE_NAMES)
    assert "next_start_key" not in listed.json
    head = ask(rest, tenant, f"HEAD {path}")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(listed.body))
    options = ask(rest, tenant, f"OPTIONS {path}", token=False)
    assert (options.status, options.headers["allow"]) == (200, "OPTIONS, GET, HEAD")


def test_who_may_not_read_an_account_does_not_see_its_voices(rest: Rest, tenant: Tenant) -> None:
    assert ask(rest, tenant, "GET {M}/tts/voices", token=False).status == 401
    assert ask(rest, rest.stranger, f"GET {tenant.media}/tts/voices").status == 403
    assert ask(rest, tenant, "GET /v2/accounts/0000/media/tts/voices").status == 404
    accepting = ask(rest, tenant, "GET {M}/tts/voices", headers={"accept": "text/html"})
    assert accepting.status == 406


def test_voices_as_csv(rest: Rest, tenant: Tenant) -> None:
    listed = ask(rest, tenant, "GET {M}/tts/voices?accept=csv")
    assert listed.body.splitlines()[:2] == [
        b"name,locale,gender,engine_voice",
        b"female/en-US,en-US,female,en-us+f3",
    ]


def test_they_follow_the_setting(rest: Rest, tenant: Tenant) -> None:
    rest.put_setting("speech", "tts_provider", "flite")
    try:
        listed = ask(rest, tenant, "GET {M}/tts/voices").data
        data = {"name": "x", "media_source": "tts", "tts": {"text": "hello", "voice": "fr+f3"}}
        refused = ask(rest, tenant, "PUT {M}", {"data": data})
    finally:
        rest.put_setting("speech", "tts_provider", None)
    assert {row["engine_voice"] for row in listed} == {"slt", "rms"}
    assert (refused.status, refused.data) == (400, {"tts.voice": has(enum=has(value="fr+f3"))})
    assert ask(rest, tenant, "PUT {M}", {"data": data}).status == 201
