"""Links: URLs of audio that need no token."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from kazoo_media.access.accounts import WriteScope
from tests.gateway.rest.conftest import SHELVED
from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import tone
from tests.support.switch_caches import (
    SwitchCache,
    asterisk_extension,
    freeswitch_extension,
    old_freeswitch_extension,
)

pytestmark = pytest.mark.gateway

_WAV = SHELVED
_BASE = "https://media.example.com"


def _made(rest: Rest, tenant: Tenant, media_id: str, **data: object) -> Reply:
    return ask(rest, tenant, f"POST {{M}}/{media_id}/link", {"data": data})


def _link(rest: Rest, tenant: Tenant, media_id: str, **data: object) -> str:
    reply = _made(rest, tenant, media_id, **data)
    assert reply.status == 200, reply.body
    link: str = reply.data["link"]
    return link


def _follow(
    rest: Rest, link: str, headers: Mapping[str, str] | None = None, verb: str = "GET"
) -> Reply:
    return rest.send(verb, link, None, list((headers or {}).items()))


def test_a_link_serves_its_audio_without_a_token(rest: Rest, shelf: Tenant) -> None:
    made = _made(rest, shelf, "wav")
    link = made.data["link"]
    assert made.data == {
        "link": link,
        "content_type": "audio/x-wav",
        "content_length": len(_WAV),
    }
    assert re.fullmatch(rf"/media/{shelf.id}/wav\.wav\?sig=[0-9a-f]{{32}}\.wav", link)
    whole = _follow(rest, link)
    assert (whole.status, whole.body) == (200, _WAV)
    assert whole.headers["content-type"] == "audio/x-wav"
    assert whole.headers["cache-control"] == "private, max-age=86400"
    assert _follow(rest, link, verb="HEAD").headers["content-length"] == str(len(_WAV))
    assert _follow(rest, link, {"range": "bytes=1-3"}).body == _WAV[1:4]
    assert _follow(rest, link, {"if-none-match": whole.headers["etag"]}).status == 304
    assert _follow(rest, link, {"x-auth-token": "wrong", "accept": "image/png"}).body == _WAV
    assert _follow(rest, link.replace(shelf.id, shelf.id.upper())).body == _WAV


def test_a_link_is_of_one_rendition(rest: Rest, shelf: Tenant) -> None:
    served, original = _link(rest, shelf, "both"), _link(rest, shelf, "both", rendition="original")
    assert "/both.mp3?" in served
    assert _follow(rest, served).headers["content-type"] == "audio/mpeg"
    assert "/both.wav?" in original
    assert _follow(rest, original).body == _WAV
    assert _follow(rest, original.replace("wav", "mp3")).status == 404


def test_the_same_audio_has_the_same_link_until_links_are_rotated(rest: Rest) -> None:
    tenant = rest.new_tenant()
    for media_id in ("one", "other"):
        create(rest, tenant, id=media_id)
        upload(rest, tenant, media_id, _WAV)
    link = _link(rest, tenant, "one")
    ask(rest, tenant, "PATCH {M}/one", {"data": {"description": "changed"}})
    upload(rest, tenant, "one", _WAV)
    assert _link(rest, tenant, "one") == link
    assert _follow(rest, link.replace("one", "other")).status == 404
    rest.run(rest.core.links.rotate(WriteScope(tenant.id)))
    assert _follow(rest, link).status == 404
    assert _follow(rest, _link(rest, tenant, "one")).body == _WAV


def test_a_link_ends_with_its_audio(rest: Rest, tenant: Tenant) -> None:
    create(rest, tenant, id="m")
    upload(rest, tenant, "m", _WAV)
    link = _link(rest, tenant, "m")
    upload(rest, tenant, "m", tone(0.1))
    assert _follow(rest, link).status == 404
    new = _link(rest, tenant, "m")
    assert _follow(rest, new).body == tone(0.1)
    ask(rest, tenant, "DELETE {M}/m")
    assert _follow(rest, new).status == 404


def test_a_link_ends_after_its_lifetime(
    rest: Rest, shelf: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _made(rest, shelf, "wav", lifetime_s=60)
    link, end = made.data["link"], int(made.data["link"].partition("sig=")[2].partition("-")[0])
    assert made.data["expires"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    answer = _follow(rest, link)
    assert answer.body == _WAV
    assert 0 <= int(answer.headers["cache-control"].removeprefix("private, max-age=")) <= 60
    longer = link.replace(f"{end}-", f"{end + 60}-")
    assert _follow(rest, longer).status == 404
    assert _follow(rest, link.replace(f"{end}-", "")).status == 404
    monkeypatch.setattr("kazoo_media.media.links.time", SimpleNamespace(time=lambda: end))
    assert _follow(rest, link).status == 404


def test_a_wrong_link_does_not_tell_what_is_there(rest: Rest, shelf: Tenant) -> None:
    link = _link(rest, shelf, "wav")
    wrong = [
        link.partition("?")[0],
        link[:-5] + "x.wav",
        link.removesuffix(".wav"),
        link.replace("sig=", "sig=0-"),
        link.replace("wav.wav", "none.wav"),
        link.replace("wav.wav", "missing.wav"),
        link.replace("wav.wav", "wav.mp3"),
        link.replace(shelf.id, "0" * 32),
        link.replace(shelf.id, rest.stranger.id),
        link.replace(shelf.id, "system"),
    ]
    answers = [_follow(rest, each) for each in wrong]
    assert {each.status for each in answers} == {404}
    assert len({(each.json["message"], each.data["message"]) for each in answers}) == 1


def test_who_may_read_may_link_also_shared_prompts(rest: Rest, shelf: Tenant) -> None:
    data = {"data": {"name": "P", "prompt_id": "vm-linked", "language": "en-us"}}
    ask(rest, rest.admin, "PUT /v2/media", data)
    path, wav = "/v2/media/en-us%2Fvm-linked", {"content-type": "audio/x-wav"}
    ask(rest, rest.admin, f"POST {path}/raw", _WAV, wav)
    made = ask(rest, shelf, f"POST {path}/link", b"")
    assert made.data["link"].startswith("/media/system/en-us%2Fvm-linked.wav?sig=")
    assert _follow(rest, made.data["link"]).body == _WAV
    ask(rest, rest.admin, f"DELETE {path}")


@table(
    [
        Case("POST {M}/wav/link", 401, {"data": {}}, token=False),
        Case("POST {M}/missing/link", 404, {"data": {}}, message="bad_identifier"),
        Case("POST {M}/none/link", 404, {"data": {}}, message="bad_identifier"),
        Case("POST {M}/wav/link", 400, {"data": {"rendition": "x"}}, data=has(rendition=has())),
        Case("POST {M}/wav/link", 400, {"data": {"rendition": 1}}, data=has(rendition=has())),
        Case("POST {M}/wav/link", 406, {"data": {"rendition": "normalized"}}),
        Case("POST {M}/wav/link", 400, {"data": {"lifetime_s": 0}}, data=has(lifetime_s=has())),
        Case("POST {M}/wav/link", 400, {"data": {"lifetime_s": 1e9}}, data=has(lifetime_s=has())),
        Case("POST {M}/wav/link", 400, {"data": {"lifetime_s": True}}, data=has(lifetime_s=has())),
        Case("POST {M}/wav/link", 200, {"data": {"lifetime_s": "60"}}),
        Case("POST {M}/wav/link", 415, b"x", {"content-type": "audio/x-wav"}),
        Case("GET {M}/wav/link", 405),
        Case("GET /media/{A}", 404, message="not_found"),
        Case("GET /media/{A}/wav", 404, message="not_found"),
        Case("GET /media/{A}/wav.wav/x", 404, message="not_found"),
        Case("PUT /media/{A}/wav.wav", 405, b"", answer={"allow": "OPTIONS, GET, HEAD"}),
    ]
)
def test_requests_for_links_are_checked(rest: Rest, shelf: Tenant, case: Case) -> None:
    case.run(rest, shelf)


def test_a_stranger_gets_no_link(rest: Rest, shelf: Tenant) -> None:
    path = f"POST {shelf.media}/wav/link"
    assert ask(rest, rest.stranger, path, {"data": {}}).status == 403


def test_links_begin_with_the_address_that_a_setting_gives(rest: Rest, shelf: Tenant) -> None:
    path = _link(rest, shelf, "wav")
    rest.put_setting("media", "link_base_url", f"{_BASE}/a/")
    try:
        assert _link(rest, shelf, "wav") == f"{_BASE}/a{path}"
    finally:
        rest.put_setting("media", "link_base_url", None)


def test_switches_fetch_a_hundred_prompts_once(rest: Rest, tenant: Tenant) -> None:
    links = {}
    for number in range(100):
        audio = tone(0.02, frequency_hertz=300 + 10 * number)
        media_id = create(rest, tenant, prompt_id=f"vm-{number}", language="en-us")
        upload(rest, tenant, media_id, audio)
        links[f"{_BASE}{_link(rest, tenant, media_id)}"] = audio

    def fetch(
        verb: str, url: str, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        reply = _follow(rest, url.removeprefix(_BASE), headers, verb)
        return reply.status, reply.headers, reply.body

    freeswitch = SwitchCache(fetch, freeswitch_extension)
    old = SwitchCache(fetch, old_freeswitch_extension)
    asterisk = SwitchCache(fetch, asterisk_extension, revalidates=True)
    for cache in (freeswitch, old, asterisk):
        for _ in range(2):
            assert {url: cache.get(url) for url in links} == {
                url: ("wav", audio) for url, audio in links.items()
            }
        assert cache.requests == [("GET", 200)] * 100
    asterisk.requests.clear()
    asterisk.now_s = 86_400
    for url in links:
        asterisk.get(url)
    assert asterisk.requests == [("HEAD", 304)] * 100


@pytest.mark.parametrize(
    ("url", "new", "old"),
    [
        ("https://h.example/a/b.wav?sig=0f.wav", "wav", "wav"),
        ("https://h.example/a/b.wav?sig=0f", "wav", "wav?sig=0f"),
        ("https://h.example/a/b.wav?auth_token=e.y.J", "J", "J"),
        ("https://h.example/a/b?x=/c", "", ""),
    ],
)
def test_the_rule_by_which_freeswitch_finds_an_extension(url: str, new: str, old: str) -> None:
    assert (freeswitch_extension(url), old_freeswitch_extension(url)) == (new, old)
