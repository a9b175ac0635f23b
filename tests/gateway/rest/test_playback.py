"""Audio for switches, which cannot log in: keys, and URLs that end with a file name."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest

from kazoo_media.access.accounts import Caller
from kazoo_media.access.login_limit import BURST
from tests.gateway.rest.conftest import SHELVED
from tests.gateway.rest.recorded import record_as
from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, table, upload

pytestmark = pytest.mark.gateway

_WAV = SHELVED


@pytest.fixture(scope="module")
def key(rest: Rest, shelf: Tenant) -> str:
    return _key(rest, shelf)


def _key(rest: Rest, tenant: Tenant) -> str:
    _, text = rest.run(rest.core.playback_keys.add(Caller(tenant.account), "", "a switch"))
    return text


def _basic(user: str, password: str) -> Mapping[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("verb", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["raw", "raw.wav", "raw/a tone.wav"])
def test_a_playback_key_reads_audio(
    rest: Rest, shelf: Tenant, key: str, verb: str, path: str
) -> None:
    url = f"{verb} {{M}}/wav/{path.replace(' ', '%20')}"
    asked = [
        (url, _basic(shelf.id, key)),
        (url, _basic(shelf.id.upper(), key)),
        (f"{url}?key={key}", {}),
    ]
    for request, headers in asked:
        reply = ask(rest, shelf, request, headers=headers, token=False)
        assert reply.status == 200
        assert reply.headers["content-type"] == "audio/x-wav"
        assert reply.body == (_WAV if verb == "GET" else b"")
        assert reply.headers["etag"]


def test_a_playback_key_reads_ranges_and_unchanged_audio(
    rest: Rest, shelf: Tenant, key: str
) -> None:
    basic = _basic(shelf.id, key)
    part = ask(rest, shelf, "GET {M}/wav/raw", None, {**basic, "range": "bytes=1-3"}, token=False)
    assert (part.status, part.body) == (206, _WAV[1:4])
    known = {**basic, "if-none-match": part.headers["etag"]}
    assert ask(rest, shelf, "GET {M}/wav/raw", None, known, token=False).status == 304


def test_accept_of_audio_is_enough(rest: Rest, shelf: Tenant, key: str) -> None:
    headers = {**_basic(shelf.id, key), "accept": "audio/*"}
    assert ask(rest, shelf, "GET {M}/wav", None, headers, token=False).body == _WAV


def test_an_api_key_reads_audio_as_the_password_of_its_account(rest: Rest, shelf: Tenant) -> None:
    good = _basic(shelf.id, shelf.api_key)
    assert ask(rest, shelf, "GET {M}/wav/raw", None, good, token=False).body == _WAV
    other = _basic(rest.stranger.id, shelf.api_key)
    assert ask(rest, shelf, "GET {M}/wav/raw", None, other, token=False).status == 401
    in_url = f"GET {{M}}/wav/raw?key={shelf.api_key}"
    assert ask(rest, shelf, in_url, token=False).status == 401


def test_a_key_reads_its_own_account_and_the_system_scope(
    rest: Rest, key: str, shelf: Tenant
) -> None:
    basic = _basic(shelf.id, key)
    below = rest.new_tenant(shelf.id)
    media_id = create(rest, below)
    upload(rest, below, media_id, _WAV)
    for above in (shelf, rest.admin):
        url = f"GET {{M}}/{media_id}/raw?key={_key(rest, above)}"
        assert ask(rest, below, url, token=False).status == 403
        assert ask(rest, below, f"GET {{M}}/{media_id}/raw?auth_token={above.token}").status == 200
    reply = ask(rest, rest.admin, "PUT /v2/media", {"data": {"name": "x"}})
    upload_path = f"POST /v2/media/{reply.data['id']}/raw"
    ask(rest, rest.admin, upload_path, _WAV, {"content-type": "audio/x-wav"})
    of_system = f"/v2/media/{reply.data['id']}"
    assert ask(rest, shelf, f"GET {of_system}/raw/x.wav", None, basic, token=False).body == _WAV
    ask(rest, rest.admin, f"DELETE {of_system}?hard_delete=true")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET {M}/wav", 401),
        ("GET {M}", 401),
        ("GET {M}/wav/peaks", 401),
        ("GET {M}/prompts", 401),
        ("DELETE {M}/wav", 401),
        ("POST {M}/wav/raw", 401),
        ("PUT {M}", 401),
    ],
)
def test_a_playback_key_does_nothing_else(
    rest: Rest, shelf: Tenant, key: str, request_line: str, status: int
) -> None:
    body = None if request_line.startswith("GET") else b"{}"
    for url, headers in (
        (request_line, _basic(shelf.id, key)),
        (f"{request_line}?key={key}", {}),
    ):
        assert ask(rest, shelf, url, body, headers, token=False).status == status
    login = ask(rest, shelf, "PUT /v2/api_auth", {"data": {"api_key": key}}, token=False)
    assert login.status == 401


def test_a_playback_key_reads_no_recordings(rest: Rest) -> None:
    tenant = rest.new_tenant()
    path = f"/recordings/{tenant.id}"
    wav = {"content-type": "audio/x-wav"}
    recording = ask(rest, tenant, f"PUT {path}/call.wav", _WAV, wav).data["id"]
    text = {"content-type": "text/plain"}
    assert ask(rest, tenant, f"PUT {path}/note.txt", b"a text", text).status == 201
    prompt = record_as(rest, tenant, _WAV, "en-us/vm-x")
    key = _key(rest, tenant)
    for url in (
        f"{path}/call.wav",
        f"{path}/note.txt",
        f"/v2/accounts/{{A}}/recordings/{recording}?accept=audio/x-wav",
        f"{{M}}/{recording}/raw",
        f"{{M}}/{prompt.replace('/', '%2F')}/raw.wav",
        "{M}/prompts/vm-x/resolve/a.wav",
    ):
        assert ask(rest, tenant, f"GET {url}").status == 200
        for keyed, headers in (
            (url, _basic(tenant.id, key)),
            (f"{url}{'&' if '?' in url else '?'}key={key}", {}),
        ):
            assert ask(rest, tenant, f"GET {keyed}", None, headers, token=False).status == 403


def test_a_removed_key_reads_nothing(rest: Rest) -> None:
    tenant = rest.new_tenant()
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    key, caller = _key(rest, tenant), Caller(tenant.account)
    url = f"GET {{M}}/{media_id}/raw?key={key}"
    assert ask(rest, tenant, url, token=False).status == 200
    [kept] = rest.run(rest.core.playback_keys.list(caller, ""))
    rest.run(rest.core.playback_keys.remove(caller, "", kept.id))
    assert ask(rest, tenant, url, token=False).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Basic"},
        {"authorization": "Basic !"},
        {"authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        {"authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        {"authorization": "Basic " + base64.b64encode(b":").decode()},
    ],
)
def test_broken_credentials_are_refused(
    rest: Rest, shelf: Tenant, headers: Mapping[str, str]
) -> None:
    assert ask(rest, shelf, "GET {M}/wav/raw", None, headers, token=False).status == 401


def test_a_token_goes_before_a_key(rest: Rest, shelf: Tenant, key: str) -> None:
    url = f"GET {{M}}/wav/raw?key={key}"
    assert ask(rest, shelf, url, None, {"x-auth-token": "wrong"}, token=False).status == 401
    assert ask(rest, shelf, "GET {M}/wav/raw?key=wrong").status == 200


def test_guessing_keys_is_slowed_down(rest: Rest, shelf: Tenant, key: str) -> None:
    peer, path = "127.0.0.77", f"{shelf.media}/wav/raw"
    wrong = [_basic(shelf.id, f"guessed{n:057}") for n in range(BURST + 1)]
    statuses = [
        rest.send("GET", path, None, list(each.items()), peer=peer).status for each in wrong
    ]
    assert statuses == [401] * BURST + [429]
    right = list(_basic(shelf.id, key).items())
    assert rest.send("GET", path, None, right, peer=peer).status == 200


@table(
    [
        Case("GET {M}/both/raw/x.mp3", 200, answer={"content-type": "audio/mpeg"}),
        Case("GET {M}/both/raw/x.wav", 200, answer={"content-type": "audio/x-wav"}),
        Case("GET {M}/both/raw/x.y.WAV", 200, answer={"content-type": "audio/x-wav"}),
        Case("GET {M}/both/raw/wav", 404),
        Case("GET {M}/both/raw/.wav", 404),
        Case("GET {M}/both/raw/wav.", 404),
        Case("GET /v1/accounts/{A}/media/both/raw/x.mp3", 200),
        Case("GET {M}/both/raw/a/b.mp3", 404),
        Case("GET {M}/both/other/b.mp3", 404),
        Case("GET {M}/none/raw/b.mp3", 404, message="bad_identifier"),
        Case("POST {M}/both/raw/b.mp3", 405, b"x"),
        Case("DELETE {M}/both/raw/b.mp3", 405),
    ]
)
def test_a_path_may_end_with_a_file_name(rest: Rest, shelf: Tenant, case: Case) -> None:
    case.run(rest, shelf)
