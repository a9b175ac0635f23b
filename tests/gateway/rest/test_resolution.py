"""Prompts that are resolved in one call: by language, account and format."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from kazoo_media.access.accounts import Caller
from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_OWN, _SHARED = tone(0.1), tone(0.2)
_FR = "{M}/prompts/vm-resolved/resolve"


@pytest.fixture(scope="module")
def caller(rest: Rest) -> Iterator[Tenant]:
    """Return an account with `fr-fr`, and `fr` without audio; `en-us` and `de` are shared."""
    tenant = rest.new_tenant()
    prompt = {"name": "P", "prompt_id": "vm-resolved"}
    for language in ("fr", "fr-fr", "de"):
        create(rest, tenant, **prompt, language=language)
    upload(rest, tenant, "fr-fr%2Fvm-resolved", _OWN)
    shared = []
    for language in ("fr-fr", "en-us", "de"):
        ask(rest, rest.admin, "PUT /v2/media", {"data": {**prompt, "language": language}})
        shared.append(f"/v2/media/{language}%2Fvm-resolved")
        wav = {"content-type": "audio/x-wav"}
        ask(rest, rest.admin, f"POST {shared[-1]}/raw", _SHARED, wav)
    yield tenant
    for path in shared:
        ask(rest, rest.admin, f"DELETE {path}")


def test_the_nearest_language_with_audio_is_named_and_linked(rest: Rest, caller: Tenant) -> None:
    data = ask(rest, caller, f"GET {_FR}?language=fr-CA").data
    link, passed_over = data.pop("link"), data.pop("passed_over")
    assert data == {
        "id": "fr-fr%2Fvm-resolved",
        "account_id": caller.id,
        "language": "fr-fr",
        "content_type": "audio/x-wav",
        "content_length": len(_OWN),
    }
    assert [(each["id"], each["account_id"], each["reason"]) for each in passed_over] == [
        ("fr-ca%2Fvm-resolved", caller.id, "missing"),
        ("fr-ca%2Fvm-resolved", "system", "missing"),
        ("fr%2Fvm-resolved", caller.id, "no_audio"),
        ("fr%2Fvm-resolved", "system", "missing"),
    ]
    assert rest.send("GET", link).body == _OWN


@pytest.mark.parametrize(
    ("query", "account", "language", "audio"),
    [
        ("?language=fr-fr", "own", "fr-fr", _OWN),
        ("?language=de-ch", "system", "de", _SHARED),
        ("?language=pl", "system", "en-us", _SHARED),
        ("", "system", "en-us", _SHARED),
        ("?language=fr&format=WAV", "own", "fr-fr", _OWN),
    ],
)
def test_an_account_goes_before_the_system_and_a_language_before_the_default(
    rest: Rest, caller: Tenant, query: str, account: str, language: str, audio: bytes
) -> None:
    data = ask(rest, caller, f"GET {_FR}{query}").data
    wanted = caller.id if account == "own" else "system"
    assert (data["account_id"], data["language"]) == (wanted, language)
    assert rest.send("GET", data["link"]).body == audio


def test_the_system_scope_has_only_its_own_prompts(rest: Rest, caller: Tenant) -> None:
    data = ask(rest, caller, "GET /v2/media/prompts/vm-resolved/resolve?language=fr").data
    assert (data["account_id"], data["language"]) == ("system", "fr-fr")
    assert len(data["passed_over"]) == 1


def test_a_switch_gets_the_audio_at_once_with_its_playback_key(rest: Rest, caller: Tenant) -> None:
    _, key = rest.run(rest.core.playback_keys.add(Caller(caller.account), "", ""))
    path = f"{_FR}/audio.wav?language=fr-CA&key={key}"
    got = ask(rest, caller, f"GET {path}", token=False)
    assert (got.status, got.body) == (200, _OWN)
    assert got.headers["content-language"] == "fr-fr"
    head = ask(rest, caller, f"HEAD {path}", token=False)
    assert head.headers["content-length"] == str(len(_OWN))
    tag = {"if-none-match": got.headers["etag"]}
    assert ask(rest, caller, f"GET {path}", None, tag, token=False).status == 304
    redirect = ask(rest, caller, f"GET {path}&redirect=true", token=False)
    assert (redirect.status, redirect.body) == (302, b"")
    assert "sig=" in redirect.headers["location"]
    assert rest.send("GET", redirect.headers["location"]).body == _OWN
    assert ask(rest, caller, f"GET {_FR}?key={key}", token=False).status == 401


@pytest.mark.parametrize("language", ["é", "日本", "en\r\nset-cookie: x=1"])
def test_a_language_that_no_header_can_have_is_left_out(
    rest: Rest, tenant: Tenant, language: str
) -> None:
    create(rest, tenant, prompt_id="vm-odd", language=language)
    quoted = quote(language)
    upload(rest, tenant, f"{quoted}%2Fvm-odd", _OWN)
    path = f"GET {{M}}/prompts/vm-odd/resolve/a.wav?language={quoted}"
    reply = ask(rest, tenant, path)
    assert (reply.status, reply.body) == (200, _OWN)
    assert not {"content-language", "set-cookie"} & reply.headers.keys()
    assert ask(rest, tenant, f"{path}&redirect=true").status == 302


def test_what_has_no_audio_in_any_language_is_not_found(rest: Rest, caller: Tenant) -> None:
    reply = ask(rest, caller, "GET {M}/prompts/vm-none/resolve?language=fr")
    assert (reply.status, reply.json["message"]) == (404, "bad_identifier")
    assert reply.data["cause"] == "vm-none"
    assert f"fr-fr/vm-none of {caller.id} (missing)" in reply.data["detail"]
    other = ask(rest, caller, f"GET {_FR}?format=mp3")
    assert "en-us/vm-resolved of system (other_format)" in other.data["detail"]


def test_the_fallback_is_a_setting(rest: Rest, caller: Tenant) -> None:
    rest.put_setting("media", "language_fallback", {"gsw": "de"})
    try:
        assert ask(rest, caller, f"GET {_FR}?language=GSW").data["language"] == "de"
        assert ask(rest, caller, f"GET {_FR}?language=fr-ca").data["language"] == "en-us"
    finally:
        rest.put_setting("media", "language_fallback", None)


@table(
    [
        Case(f"GET {_FR}", 401, token=False),
        Case(f"GET {_FR}?language={'x' * 65}", 400, data=has(language=has())),
        Case(f"GET {_FR}/audio", 404, message="not_found"),
        Case(f"GET {_FR}/a.wav/b", 404, message="not_found"),
        Case("GET {M}/prompts/vm-resolved/other", 404, message="not_found"),
        Case("GET {M}/languages/de/resolve", 404, message="not_found"),
        Case(f"PUT {_FR}", 405, b"", answer={"allow": "OPTIONS, GET, HEAD"}),
        Case(f"PUT {_FR}/audio.wav", 405, b""),
    ]
)
def test_other_requests_are_refused(rest: Rest, caller: Tenant, case: Case) -> None:
    case.run(rest, caller)
