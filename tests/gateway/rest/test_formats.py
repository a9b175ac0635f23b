"""kazoo-v2, sections 5, 7 and 8: which audio goes in under which type, and how it comes out."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import pytest

from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import CodedFormat, encoded, measure, tone
from tests.support.measured_facts import unmeasured_document
from tests.unit.audio.inspect.made_containers import in_container

pytestmark = pytest.mark.gateway

_WAV = tone(0.3)


@cache
def _audio(kind: CodedFormat) -> bytes:
    return _WAV if kind == "wav" else encoded(_WAV, kind)


def _stored(rest: Rest, tenant: Tenant, media_id: str, reply: Reply, audio: bytes) -> Any:
    """Check that the answer is the reloaded document, except for what is measured later, and that
    the audio is served as it says; return the type.
    """
    assert reply.status == 200, reply.body
    found = ask(rest, tenant, f"GET {{M}}/{media_id}")
    assert unmeasured_document(reply.data) == unmeasured_document(found.data)
    assert reply.json["revision"] == found.json["revision"]
    served = ask(rest, tenant, f"GET {{M}}/{media_id}/raw")
    assert served.body == audio
    assert found.data["content_length"] == len(audio) == int(served.headers["content-length"])
    assert served.headers["content-type"] == found.data["content_type"]
    return found.data["content_type"]


_TYPES: list[tuple[CodedFormat, str, str]] = [
    ("wav", "audio/wav", "audio/wav"),
    ("wav", "audio/x-wav", "audio/x-wav"),
    ("wav", "audio/wave", "audio/wave"),
    ("wav", "audio/wav; codecs=1; rate=8000", "audio/wav"),
    ("wav", "audio/mpeg", "audio/x-wav"),
    ("wav", "video/mp4", "audio/x-wav"),
    ("mp3", "audio/mp3", "audio/mp3"),
    ("mp3", "audio/mpeg", "audio/mpeg"),
    ("mp3", "audio/mpeg3", "audio/mpeg3"),
    ("mp3", "Audio/MP3", "audio/mp3"),
    ("mp3", "audio/wav", "audio/mpeg"),
    ("mp3", "audio/ogg", "audio/mpeg"),
    ("ogg", "audio/ogg", "audio/ogg"),
    ("ogg", "audio/mp3", "audio/ogg"),
    ("ogg", "application/ogg", "application/ogg"),
    ("flac", "audio/flac", "audio/flac"),
    ("flac", "audio/x-flac", "audio/x-flac"),
    ("au", "audio/basic", "audio/basic"),
    ("wav", "application/octet-stream", "audio/x-wav"),
    ("mp3", "application/octet-stream", "audio/mpeg"),
    ("ogg", "application/octet-stream", "audio/ogg"),
    ("flac", "application/octet-stream", "audio/flac"),
]


@pytest.mark.parametrize(("kind", "sent", "stored"), _TYPES)
@pytest.mark.parametrize("path", ["", "/raw"])
def test_what_is_inside_decides(
    rest: Rest, tenant: Tenant, path: str, kind: CodedFormat, sent: str, stored: str
) -> None:
    media_id, audio = create(rest, tenant), _audio(kind)
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}{path}", audio, {"content-type": sent})
    assert _stored(rest, tenant, media_id, reply, audio) == stored


@pytest.mark.parametrize(("kind", "sent", "stored"), _TYPES[::4])
@pytest.mark.parametrize("wrapping", ["data URI", "bare", "quoted", "encoded", "form", "chunked"])
def test_what_is_inside_decides_whatever_is_around_it(
    rest: Rest, tenant: Tenant, wrapping: str, kind: CodedFormat, sent: str, stored: str
) -> None:
    media_id, audio = create(rest, tenant), _audio(kind)
    text = base64.encodebytes(audio)
    body, headers = {
        "data URI": (
            b"data:" + sent.encode() + b";base64," + text,
            [("content-type", "application/x-base64")],
        ),
        "bare": (text.replace(b"\n", b"\r\n "), [("content-type", "application/base64; x=y")]),
        "quoted": (
            b'"data:' + sent.encode() + b";base64," + text.replace(b"\n", b"\\n") + b'"',
            [("content-type", "application/base64")],
        ),
        "encoded": (text, [("content-type", sent), ("content-transfer-encoding", "BASE64")]),
        "form": (
            b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\nContent-Type: '
            + sent.encode()
            + b"\r\n\r\n"
            + audio
            + b"\r\n--b--\r\n",
            [("content-type", "multipart/form-data; boundary=b")],
        ),
        "chunked": (audio, [("content-type", sent)]),
    }[wrapping]
    pieces = iter([body[:700], body[700:]]) if wrapping == "chunked" else body
    token = ("x-auth-token", tenant.token)
    reply = rest.send("POST", f"{tenant.media}/{media_id}/raw", pieces, [token, *headers])
    found = _stored(rest, tenant, media_id, reply, audio)
    untold = wrapping == "bare" or sent == "application/octet-stream"
    assert found == (_sniffed(kind) if untold else stored)


def _sniffed(kind: CodedFormat) -> str:
    return {
        "wav": "audio/x-wav",
        "mp3": "audio/mpeg",
        "ogg": "audio/ogg",
        "flac": "audio/flac",
        "au": "audio/basic",
    }[kind]


@pytest.mark.parametrize(
    ("name", "sent", "stored"),
    [
        ("m4a", "audio/x-m4a", "audio/x-m4a"),
        ("m4a", "audio/mp3", "audio/mp4"),
        ("m4a", "video/mp4", "video/mp4"),
        ("mp4, index first", "audio/mp4", "audio/mp4"),
        ("mp4, fragments", "application/octet-stream", "video/mp4"),
        ("mov", "video/quicktime", "video/quicktime"),
        ("webm, opus", "audio/webm", "audio/webm"),
        ("webm, live", "audio/ogg", "video/webm"),
        ("opus", "audio/opus", "audio/opus"),
        ("aac", "audio/wav", "audio/aac"),
        ("wma", "audio/x-ms-wma", "audio/x-ms-wma"),
        ("flv, mp3", "video/x-flv", "video/x-flv"),
        ("mpeg", "video/mpeg", "video/mpeg"),
    ],
)
def test_containers_are_recognised_kept_and_normalized(
    rest: Rest, tenant: Tenant, name: str, sent: str, stored: str
) -> None:
    media_id, audio = create(rest, tenant), in_container(name)
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}/raw", audio, {"content-type": sent})
    assert _stored(rest, tenant, media_id, reply, audio) == stored
    rest.put_setting("crossbar.media", "normalize_media", value=True)
    try:
        reply = upload(rest, tenant, media_id, audio, sent)
    finally:
        rest.put_setting("crossbar.media", "normalize_media", value=None)
    assert reply.data == has(content_type="audio/mpeg")
    served = ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body
    assert measure(served, "mp3").duration_s == pytest.approx(10.0, abs=0.3)
    kept = ask(rest, tenant, f"GET {{M}}/{media_id}/raw?rendition=original")
    assert (kept.body, kept.headers["content-type"]) == (audio, stored)


def test_the_documents_type_helps_where_sniffing_finds_nothing(rest: Rest, tenant: Tenant) -> None:
    raw = bytes(range(1, 250)) * 40
    headers = {"content-type": "application/octet-stream"}
    told = create(rest, tenant, content_type="video/h264")
    reply = ask(rest, tenant, f"POST {{M}}/{told}/raw", raw, headers)
    assert _stored(rest, tenant, told, reply, raw) == "video/h264"
    untold = create(rest, tenant)
    refused = ask(rest, tenant, f"POST {{M}}/{untold}/raw", raw, headers)
    assert (refused.status, list(refused.data["file"])) == (400, ["invalid"])
    assert "content_type" not in ask(rest, tenant, f"GET {{M}}/{untold}").data
    hinted = create(rest, tenant, content_type="audio/mp3")
    reply = ask(rest, tenant, f"POST {{M}}/{hinted}/raw", _WAV, headers)
    assert _stored(rest, tenant, hinted, reply, _WAV) == "audio/x-wav"


def test_after_an_upload_the_type_is_the_services(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant, content_type="audio/mp3", content_length=5)
    assert ask(rest, tenant, f"GET {{M}}/{media_id}").data == has(
        content_type="audio/mp3", content_length=5
    )
    upload(rest, tenant, media_id, _WAV)
    mine = {"content_type": "audio/ogg", "content_length": 7, "normalization_error": "x"}
    for method in ("POST", "PATCH"):
        body = {"data": {"name": "x", **mine}}
        reply = ask(rest, tenant, f"{method} {{M}}/{media_id}", body)
        assert reply.data == has(content_type="audio/x-wav", content_length=len(_WAV))
        assert "normalization_error" not in reply.data


@table(
    [
        Case(f"POST {path}", status, body, headers, message=message, data=data)
        for path in ("{M}/a/raw", "{M}/a")
        for status, message, data, body, headers in (
            (415, "invalid_media_type", has(), b"RIFF", {"content-type": "text/plain"}),
            (415, "invalid_media_type", has(), b"RIFF", {"content-type": "image/png"}),
            (415, "invalid_media_type", has(), b"RIFF", {"content-type": "nonsense"}),
            (
                400,
                "validation error",
                has(file=has(required=has())),
                b"",
                {"content-type": "audio/wav"},
            ),
            (
                400,
                "validation error",
                has(file=has(invalid=has())),
                b"<!DOCTYPE html><html>" * 40,
                {"content-type": "audio/wav"},
            ),
            (
                400,
                "validation error",
                has(file=has(invalid=has())),
                b"\xff\xd8\xff\xe0" + bytes(900),
                {"content-type": "audio/wav"},
            ),
            (
                400,
                "validation error",
                has(file=has(invalid=has())),
                b"GIF89a" + bytes(900),
                {"content-type": "audio/mp3"},
            ),
            (
                400,
                "validation error",
                has(file=has(encoding=has())),
                b"data:audio/mp3;base64,!",
                {"content-type": "application/x-base64"},
            ),
            (
                406,
                "not_acceptable",
                has(target=["application/json"]),
                _WAV,
                {"content-type": "audio/wav", "accept": "audio/wav"},
            ),
        )
    ]
)
def test_a_refused_upload_changes_nothing(rest: Rest, tenant: Tenant, case: Case) -> None:
    create(rest, tenant, id="a")
    upload(rest, tenant, "a", _WAV)
    before = ask(rest, tenant, "GET {M}/a").json
    case.run(rest, tenant)
    after = ask(rest, tenant, "GET {M}/a").json
    assert (after["data"], after["revision"]) == (before["data"], before["revision"])
    assert ask(rest, tenant, "GET {M}/a/raw").body == _WAV


@table(
    [
        Case(f"POST {path}", 400, body, headers, data=has(file=has(required=has())))
        for path, body, headers in (
            ("{M}/a/raw", b"", {}),
            ("{M}/a/raw", None, {}),
            ("{M}/a/raw", None, {"content-type": "application/json"}),
            ("{M}/a/raw", {"data": {}}, {"content-type": "application/json"}),
            ("{M}/a/raw", {"data": {"name": "x"}}, {"content-type": "application/x-json"}),
            ("{M}/a/raw.mp3", {"data": {}}, {"content-type": "application/json; charset=utf-8"}),
            ("{M}/a", b"", {"content-type": "audio/mp3"}),
            ("{M}/a", b"", {"content-type": "multipart/form-data; boundary=b"}),
            ("{M}/a", b'""', {"content-type": "application/base64"}),
        )
    ]
)
def test_an_upload_without_a_file_asks_for_one(rest: Rest, tenant: Tenant, case: Case) -> None:
    create(rest, tenant, id="a")
    case.run(rest, tenant)


@pytest.mark.parametrize("body", [b"{", b"[]", b'"data:audio/wav;base64,AAAA"', _WAV])
def test_json_that_is_not_an_envelope_is_refused(rest: Rest, tenant: Tenant, body: bytes) -> None:
    create(rest, tenant, id="a")
    reply = ask(rest, tenant, "POST {M}/a/raw", body, {"content-type": "application/json"})
    assert (reply.status, reply.data) == (400, has(json=has(invalid=has(target="body"))))


def test_a_downloaded_type_is_the_one_that_was_declared(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _audio("mp3"), "audio/mp3")
    for accept in ("audio/mp3", "audio/mpeg", "audio/mpeg3", "audio/*", "*/*", ""):
        headers = {"accept": accept} if accept else {}
        reply = ask(rest, tenant, f"GET {{M}}/{media_id}/raw", None, headers)
        assert reply.headers["content-type"] == "audio/mp3", accept
    for accept, status in (("audio/wav", 406), ("audio/mp3;q=0", 406), ("video/*", 406)):
        refused = ask(rest, tenant, f"GET {{M}}/{media_id}/raw", None, {"accept": accept})
        assert (refused.status, refused.data["target"]) == (status, ["audio/mp3"])


def test_audio_may_have_a_type_of_applications(rest: Rest, tenant: Tenant) -> None:
    media_id, audio = create(rest, tenant), _audio("ogg")
    upload(rest, tenant, media_id, audio, "application/ogg")
    for accept in ("application/ogg", "audio/ogg", "application/ogg, application/json;q=0.9"):
        found = ask(rest, tenant, f"GET {{M}}/{media_id}", None, {"accept": accept})
        assert (found.headers["content-type"], found.body) == ("application/ogg", audio), accept
    for accept in ("application/*", "application/json, application/ogg"):
        found = ask(rest, tenant, f"GET {{M}}/{media_id}", None, {"accept": accept})
        assert found.headers["content-type"] == "application/json", accept


@pytest.mark.parametrize("extension", ["mp3", "MP3", "wav", "ogg", "x", "tar.gz", ""])
def test_a_path_may_end_in_an_extension(rest: Rest, tenant: Tenant, extension: str) -> None:
    create(rest, tenant, id="a")
    path = f"{{M}}/a/raw.{extension}"
    uploaded = ask(rest, tenant, f"POST {path}", _WAV, {"content-type": "audio/wav"})
    assert uploaded.status == 200, uploaded.body
    found = ask(rest, tenant, f"GET {path}")
    assert (found.body, found.headers["content-type"]) == (_WAV, "audio/wav")


def test_every_part_of_a_file_is_served(rest: Rest, tenant: Tenant) -> None:
    media_id, size = create(rest, tenant), len(_WAV)
    upload(rest, tenant, media_id, _WAV)
    tag = ask(rest, tenant, f"GET {{M}}/{media_id}/raw").headers["etag"]
    joined = b""
    for start in range(0, size, 999):
        headers = {"range": f"bytes={start}-{start + 998}", "if-range": tag, "if-match": tag}
        reply = ask(rest, tenant, f"GET {{M}}/{media_id}/raw", None, headers)
        assert (reply.status, reply.headers["etag"]) == (206, tag)
        joined += reply.body
    assert joined == _WAV
    upload(rest, tenant, media_id, tone(0.2))
    headers = {"range": "bytes=0-9", "if-range": tag}
    replaced = ask(rest, tenant, f"GET {{M}}/{media_id}/raw", None, headers)
    assert (replaced.status, replaced.body) == (200, tone(0.2))


@pytest.mark.parametrize(
    ("query", "disposition"),
    [
        ("", 'attachment; filename="File.wav"'),
        ("?inline=true", 'inline; filename="File.wav"'),
        ("?inline=false", 'attachment; filename="File.wav"'),
        ("?inline=true&filename=a", 'inline; filename="a.wav"'),
        ("?filename=a&filename=b.mp3", 'attachment; filename="b.mp3"'),
        ("?filename=..%2Fa%22b%0D%0Ax.wav", 'attachment; filename=".._a_b__x.wav"'),
        ("?filename=", 'attachment; filename="File.wav"'),
    ],
)
@pytest.mark.parametrize("range_", ["", "bytes=0-1"])
def test_a_download_may_be_named(
    rest: Rest, tenant: Tenant, query: str, disposition: str, range_: str
) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    headers = {"range": range_} if range_ else {}
    reply = ask(rest, tenant, f"GET {{M}}/{media_id}/raw{query}", None, headers)
    assert reply.headers["content-disposition"] == disposition


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("audio/mpeg;q=0.2, audio/wav;q=0.3", "audio/wav"),
        ("audio/wav;q=0.2, audio/mpeg;q=0.3", "audio/mpeg"),
        ("audio/*;q=0.2, audio/wav;q=0.1", "audio/mpeg"),
        ("audio/*;q=0.2, audio/wav;q=0.9", "audio/wav"),
        ("audio/mpeg;q=0, audio/*", "audio/wav"),
        ("*/*;q=0.1", "audio/mpeg"),
        ("video/*, audio/x-wav;q=0.001", "audio/wav"),
        ("audio/mp3;q=1.000", "audio/mpeg"),
    ],
)
def test_weights_choose_the_rendition(
    rest: Rest, tenant: Tenant, accept: str, content_type: str
) -> None:
    media_id = create(rest, tenant)
    rest.put_setting("crossbar.media", "normalize_media", value=True)
    try:
        reply = upload(rest, tenant, media_id, _WAV, "audio/wav")
    finally:
        rest.put_setting("crossbar.media", "normalize_media", value=None)
    assert reply.data["content_type"] == "audio/mpeg"
    found = ask(rest, tenant, f"GET {{M}}/{media_id}/raw", None, {"accept": accept})
    assert (found.status, found.headers["content-type"]) == (200, content_type)
    forced = ask(rest, tenant, f"GET {{M}}/{media_id}?rendition=original", None, {"accept": accept})
    assert accept.startswith("*/*") or forced.body == _WAV


@pytest.mark.parametrize(
    ("value", "header"),
    [(None, "private, no-cache"), (0, "private, no-cache"), (3600, "private, max-age=3600")],
)
def test_how_long_audio_may_be_kept_is_a_setting(
    rest: Rest, tenant: Tenant, value: int | None, header: str
) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    rest.put_setting("media", "cache_max_age_s", value)
    try:
        for request in ("GET", "HEAD"):
            found = ask(rest, tenant, f"{request} {{M}}/{media_id}/raw")
            assert found.headers["cache-control"] == header
    finally:
        rest.put_setting("media", "cache_max_age_s", None)
