"""kazoo-v2, section 8: downloading audio."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest

from tests.gateway.rest.conftest import SHELVED
from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import ask, create, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_WAV = SHELVED
_SIZE = len(_WAV)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/x-json", "application/json"),
        ("application/json, audio/*;q=0.5", "application/json"),
        ("audio/*, application/json", "application/json"),
        ("audio/wav;q=0.4, */*;q=0.8", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("audio/wav", "audio/x-wav"),
        ("AUDIO/X-WAV", "audio/x-wav"),
        ("audio/wave;q=1.0", "audio/x-wav"),
        ("audio/*", "audio/x-wav"),
        ("audio/mp3, audio/wav", "audio/x-wav"),
        ("audio/mp3, */*", "audio/x-wav"),
        ("audio/wav, application/json", "audio/x-wav"),
        ("application/json;q=0.5, audio/wav", "audio/x-wav"),
        ("video/*, audio/*;q=0.9", "audio/x-wav"),
    ],
)
def test_accept_chooses_document_or_audio(
    rest: Rest, shelf: Tenant, accept: str, content_type: str
) -> None:
    reply = ask(rest, shelf, "GET {M}/wav", headers={"accept": accept} if accept else {})
    assert (reply.status, reply.headers["content-type"]) == (200, content_type)
    assert (reply.body == _WAV) == (content_type != "application/json")


@pytest.mark.parametrize(
    ("path", "accept", "content_type"),
    [
        ("/raw", "", "audio/mpeg"),
        ("/raw", "*/*", "audio/mpeg"),
        ("/raw", "audio/mp3", "audio/mpeg"),
        ("/raw", "audio/mpeg3", "audio/mpeg"),
        ("/raw", "audio/wav", "audio/x-wav"),
        ("/raw", "audio/wav;q=0.9, audio/mpeg;q=0.5", "audio/x-wav"),
        ("/raw", "audio/mpeg;q=0, */*", "audio/x-wav"),
        ("/raw.mp3", "", "audio/mpeg"),
        ("/raw.wav", "", "audio/x-wav"),
        ("/raw.WAV", "audio/*", "audio/x-wav"),
        ("/raw.ogg", "", "audio/mpeg"),
        ("/raw.wav", "audio/mpeg", "audio/mpeg"),
        ("/raw", "application/octet-stream", "application/octet-stream"),
        ("/raw", "application/octet-stream, audio/wav;q=0.1", "audio/x-wav"),
        ("/raw?rendition=original", "", "audio/x-wav"),
        ("/raw?rendition=original", "audio/mpeg", "audio/x-wav"),
        ("/raw?rendition=normalized", "", "audio/mpeg"),
        ("?accept=audio/wav", "application/json", "audio/x-wav"),
        ("?accept=audio/mpeg", "", "audio/mpeg"),
        ("?accept=application/json", "audio/mpeg", "application/json"),
    ],
)
def test_the_rendition_is_chosen(
    rest: Rest, shelf: Tenant, path: str, accept: str, content_type: str
) -> None:
    reply = ask(rest, shelf, f"GET {{M}}/both{path}", headers={"accept": accept} if accept else {})
    assert (reply.status, reply.headers["content-type"]) == (200, content_type)
    assert int(reply.headers["content-length"]) == len(reply.body)
    if content_type == "audio/x-wav":
        assert reply.body == _WAV


def test_plain_bytes_are_the_same_audio_under_another_type(rest: Rest, shelf: Tenant) -> None:
    for extension in ("", ".wav", ".mp3"):
        plain = ask(rest, shelf, f"GET {{M}}/both/raw{extension}")
        accept = {"accept": "application/octet-stream"}
        for_bytes = ask(rest, shelf, f"GET {{M}}/both/raw{extension}", headers=accept)
        assert for_bytes.body == plain.body
        kept = ("etag", "content-disposition", "content-length")
        assert [for_bytes.headers[key] for key in kept] == [plain.headers[key] for key in kept]


@pytest.mark.parametrize(
    ("path", "accept", "status", "target"),
    [
        ("/wav/raw", "audio/ogg", 406, ["audio/x-wav"]),
        ("/wav", "audio/ogg", 406, ["audio/x-wav"]),
        ("/wav/raw", "application/json", 406, ["audio/x-wav"]),
        ("/both/raw", "audio/ogg, text/*", 406, ["audio/mpeg", "audio/x-wav"]),
        ("/wav/raw?rendition=normalized", "", 406, ["original"]),
        ("/wav", "text/html", 406, ["application/json"]),
        ("/wav", "text/csv", 406, ["application/json"]),
        ("", "audio/mp3", 406, ["application/json", "text/csv"]),
        ("/prompts", "text/html", 406, ["application/json", "text/csv"]),
    ],
)
def test_a_type_that_is_not_accepted_is_406(
    rest: Rest, shelf: Tenant, path: str, accept: str, status: int, target: list[str]
) -> None:
    reply = ask(rest, shelf, f"GET {{M}}{path}", headers={"accept": accept} if accept else {})
    assert (reply.status, reply.json["message"]) == (status, "not_acceptable")
    assert reply.data["target"] == target


def test_an_unknown_rendition_is_refused(rest: Rest, shelf: Tenant) -> None:
    reply = ask(rest, shelf, "GET {M}/wav/raw?rendition=best")
    assert (reply.status, reply.data["rendition"]["enum"]["value"]) == (400, "best")


@pytest.mark.parametrize("path", ["/raw", "/raw.mp3"])
def test_no_audio_yet_is_404(rest: Rest, shelf: Tenant, path: str) -> None:
    reply = ask(rest, shelf, f"GET {{M}}/none{path}", headers={"accept": "audio/mp3"})
    assert reply.status == 404
    assert reply.data == {"message": "bad identifier", "cause": "none"}


def test_a_download_has_the_documented_headers(rest: Rest, shelf: Tenant) -> None:
    reply = ask(rest, shelf, "GET {M}/wav/raw")
    headers = reply.headers
    assert (reply.status, reply.body) == (200, _WAV)
    assert headers["content-type"] == "audio/x-wav"
    assert headers["content-length"] == str(_SIZE)
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-disposition"] == 'attachment; filename="File.wav"'
    assert headers["cache-control"] == "private, no-cache"
    assert headers["etag"].startswith('"')
    assert parsedate_to_datetime(headers["last-modified"]).year >= 2024


def test_the_tag_changes_with_the_audio(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    path = f"GET {{M}}/{media_id}/raw"
    tag = ask(rest, tenant, path).headers["etag"]
    unchanged = ask(rest, tenant, path, headers={"if-none-match": tag})
    assert (unchanged.status, unchanged.body, unchanged.headers["etag"]) == (304, b"", tag)
    ask(rest, tenant, f"PATCH {{M}}/{media_id}", {"data": {"name": "new"}})
    assert ask(rest, tenant, path).headers["etag"] == tag
    upload(rest, tenant, media_id, tone(0.2))
    replaced = ask(rest, tenant, path, headers={"if-none-match": tag})
    assert (replaced.status, replaced.body) == (200, tone(0.2))


@pytest.mark.parametrize(
    ("sent", "first", "last"),
    [
        ("bytes=0-99", 0, 99),
        ("bytes=100-199", 100, 199),
        ("bytes=0-", 0, _SIZE - 1),
        ("bytes=100-", 100, _SIZE - 1),
        ("bytes=-100", _SIZE - 100, _SIZE - 1),
        ("bytes=-9999999999999999999999", 0, _SIZE - 1),
        (f"bytes=10-{_SIZE * 2}", 10, _SIZE - 1),
        (f"bytes={_SIZE - 1}-", _SIZE - 1, _SIZE - 1),
        ("Bytes = 0 - 0", 0, 0),
    ],
)
def test_a_single_range_is_served(
    rest: Rest, shelf: Tenant, sent: str, first: int, last: int
) -> None:
    for path in ("/raw", "?accept=audio/wav"):
        reply = ask(rest, shelf, f"GET {{M}}/wav{path}", headers={"range": sent})
        assert (reply.status, reply.body) == (206, _WAV[first : last + 1])
        assert reply.headers["content-range"] == f"bytes {first}-{last}/{_SIZE}"
        assert reply.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize(
    "sent",
    [
        *("bytes", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=0-1,5-6", "items=0-1"),
        "bytes=0-1, 3-",
    ],
)
def test_other_ranges_give_the_whole(rest: Rest, shelf: Tenant, sent: str) -> None:
    reply = ask(rest, shelf, "GET {M}/wav/raw", headers={"range": sent})
    assert (reply.status, reply.body) == (200, _WAV)


@pytest.mark.parametrize("sent", [f"bytes={_SIZE}-", "bytes=99999999999999999999-", "bytes=-0"])
def test_a_range_after_the_end_is_416(rest: Rest, shelf: Tenant, sent: str) -> None:
    reply = ask(rest, shelf, "GET {M}/wav/raw", headers={"range": sent})
    assert (reply.status, reply.json["message"]) == (416, "range_not_satisfiable")
    assert reply.headers["content-range"] == f"bytes */{_SIZE}"


def test_if_range_holds_for_the_same_audio_only(rest: Rest, shelf: Tenant) -> None:
    whole = ask(rest, shelf, "GET {M}/wav/raw").headers
    path = "GET {M}/wav/raw"
    for sent, status in (
        (whole["etag"], 206),
        (whole["last-modified"], 206),
        ('"other"', 200),
        (f"W/{whole['etag']}", 200),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
    ):
        reply = ask(rest, shelf, path, headers={"range": "bytes=0-9", "if-range": sent})
        assert reply.status == status, sent


def test_a_head_ignores_ranges(rest: Rest, shelf: Tenant) -> None:
    reply = ask(rest, shelf, "HEAD {M}/wav/raw", headers={"range": "bytes=0-9"})
    assert (reply.status, reply.headers["content-length"], reply.body) == (200, str(_SIZE), b"")


@pytest.mark.parametrize(
    ("query", "name", "disposition"),
    [
        ("", "Żuk", "attachment; filename=\"_uk.wav\"; filename*=UTF-8''%C5%BBuk.wav"),
        ("", "greeting.wav", 'attachment; filename="greeting.wav"'),
        ("", 'a"b\\c/d\r\n', 'attachment; filename="a_b_c_d__.wav"'),
        ("?inline=true", "x", 'inline; filename="x.wav"'),
        ("?filename=my.wav", "x", 'attachment; filename="my.wav"'),
        ("?filename=my", "x", 'attachment; filename="my.wav"'),
        ("?filename=%C5%BC.x", "x", "attachment; filename=\"_.x\"; filename*=UTF-8''%C5%BC.x"),
    ],
)
def test_audio_is_saved_under_a_good_name(
    rest: Rest, tenant: Tenant, query: str, name: str, disposition: str
) -> None:
    media_id = create(rest, tenant, name=name)
    upload(rest, tenant, media_id, _WAV)
    reply = ask(rest, tenant, f"GET {{M}}/{media_id}/raw{query}")
    assert reply.headers["content-disposition"] == disposition


def test_a_switch_may_cache_when_the_operator_says_so(rest: Rest, shelf: Tenant) -> None:
    rest.put_setting("media", "cache_max_age_s", 60)
    try:
        reply = ask(rest, shelf, "GET {M}/wav/raw")
    finally:
        rest.put_setting("media", "cache_max_age_s", None)
    assert reply.headers["cache-control"] == "private, max-age=60"


def test_a_player_sends_its_token_in_the_query(rest: Rest, shelf: Tenant) -> None:
    reply = ask(rest, shelf, "GET {M}/wav/raw?auth_token={T}", token=False)
    assert (reply.status, reply.body) == (200, _WAV)


def test_large_audio_passes_whole(rest: Rest, tenant: Tenant) -> None:
    audio = tone(400)
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, audio)
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body == audio
    part = ask(rest, tenant, f"GET {{M}}/{media_id}/raw", headers={"range": "bytes=1000000-"})
    assert part.body == audio[1_000_000:]


def test_messages_that_come_at_once_pass(rest: Rest, tenant: Tenant) -> None:
    media_id, audio = create(rest, tenant), tone(30.0)
    upload(rest, tenant, media_id, audio)
    with ThreadPoolExecutor(8) as pool:
        replies = pool.map(lambda _: ask(rest, tenant, f"GET {{M}}/{media_id}/raw"), range(400))
        assert {(each.status, each.body == audio) for each in replies} == {(200, True)}
