"""kazoo-v2, section 7: uploading audio."""

from __future__ import annotations

import base64
import json
import random

import pytest

from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import encoded, tone

pytestmark = pytest.mark.gateway

_WAV = tone(0.3)
_B64 = base64.b64encode(_WAV)
_LINES = b"\r\n".join(_B64[start : start + 76] for start in range(0, len(_B64), 76))


def _post(
    rest: Rest, tenant: Tenant, path: str, body: bytes, **headers: str
) -> tuple[Reply, bytes]:
    """Upload to a new media; return the answer and what is served afterwards."""
    media_id = create(rest, tenant)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}{path}", body, sent)
    return reply, ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body


@pytest.mark.parametrize(
    ("path", "sent", "stored"),
    [
        ("/raw", "audio/x-wav", "audio/x-wav"),
        ("/raw", "audio/wav", "audio/wav"),
        ("/raw/", "audio/wav; rate=8000", "audio/wav"),
        ("/raw.wav", "audio/wav", "audio/wav"),
        ("", "audio/wav", "audio/wav"),
        ("", "audio/x-wav; x=y", "audio/x-wav"),
        ("", "AUDIO/WAV", "audio/wav"),
        ("", "application/octet-stream", "audio/x-wav"),
        ("/raw", "application/octet-stream", "audio/x-wav"),
        ("/raw", "application/x-www-form-urlencoded", "audio/x-wav"),
        ("/raw", "audio/mp3", "audio/x-wav"),
        ("/raw", "application/json, audio/wav", "audio/wav"),
        ("", "video/mp4", "audio/x-wav"),
    ],
)
def test_an_upload_is_stored_under_its_real_type(
    rest: Rest, tenant: Tenant, path: str, sent: str, stored: str
) -> None:
    reply, served = _post(rest, tenant, path, _WAV, content_type=sent)
    assert reply.status == 200
    assert reply.data == has(content_type=stored, content_length=len(_WAV), name="File")
    assert reply.json["revision"].startswith("2-")
    assert served == _WAV


def test_an_upload_without_a_type_is_sniffed(rest: Rest, tenant: Tenant) -> None:
    reply, served = _post(rest, tenant, "/raw", _WAV)
    assert (reply.status, served) == (200, _WAV)


def test_two_content_types_mean_the_last(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    headers = [
        ("x-auth-token", tenant.token),
        ("content-type", "application/json"),
        ("content-type", "audio/wav"),
    ]
    reply = rest.send("POST", f"{tenant.media}/{media_id}/raw", _WAV, headers)
    assert (reply.status, reply.data["content_type"]) == (200, "audio/wav")


_BASE64 = {
    "bare": _B64,
    "data URI": b"data:audio/wav;base64," + _B64,
    "data URI with parameters": b"data:audio/wav;codecs=1;base64," + _B64,
    "lines": b"data:audio/wav;base64,\n" + _LINES + b"\n",
    "without padding": _B64.rstrip(b"="),
    "leading space": b" \r\n data:audio/wav;base64," + _B64,
    "JSON string": json.dumps("data:audio/wav;base64," + _B64.decode()).encode(),
    "PHP's JSON string": b'"data:audio\\/wav;base64,' + _B64.replace(b"/", b"\\/") + b'"',
    "JSON string with newlines": json.dumps(_LINES.decode()).encode(),
}


@pytest.mark.parametrize("body", _BASE64.values(), ids=_BASE64.keys())
@pytest.mark.parametrize("content_type", ["application/base64", "application/x-base64"])
@pytest.mark.parametrize("path", ["", "/raw"])
def test_base64_is_decoded(
    rest: Rest, tenant: Tenant, path: str, content_type: str, body: bytes
) -> None:
    reply, served = _post(rest, tenant, path, body, content_type=content_type)
    assert reply.status == 200, reply.body
    assert reply.data["content_type"] in {"audio/wav", "audio/x-wav"}
    assert served == _WAV


def test_a_transfer_encoding_of_base64_is_decoded(rest: Rest, tenant: Tenant) -> None:
    headers = {"content_type": "audio/wav", "content_transfer_encoding": "base64"}
    reply, served = _post(rest, tenant, "/raw", _LINES, **headers)
    assert (reply.status, reply.data["content_type"], served) == (200, "audio/wav", _WAV)


def test_long_base64_is_decoded_as_a_stream(rest: Rest, tenant: Tenant) -> None:
    audio = tone(1) + random.Random(7).randbytes(3_000_001)
    body = b"data:audio/wav;base64," + base64.encodebytes(audio)
    reply, served = _post(rest, tenant, "/raw", body, content_type="application/base64")
    assert (reply.status, served == audio) == (200, True)


@pytest.mark.parametrize(
    "body",
    [
        b"data:audio/wav;base64,%%%%",
        b"data:audio/wav;base64," + _B64[:20] + b"=" + _B64,
        b"data:audio/wav," + _B64,
        b"data:audio/wav;base64",
        _B64.rstrip(b"=")[: len(_B64) // 4 * 4 - 7],
        _B64[:100] + b"!" + _B64[100:],
    ],
)
def test_what_is_no_base64_is_refused(rest: Rest, tenant: Tenant, body: bytes) -> None:
    reply, _ = _post(rest, tenant, "/raw", body, content_type="application/base64")
    assert (reply.status, reply.json["message"]) == (400, "validation error")
    assert reply.data == {"file": {"encoding": {"message": "failed to decode base64 data"}}}


def _multipart(*parts: tuple[str, bytes]) -> bytes:
    joined = b"".join(
        b"--b0undary\r\n" + head.encode() + b"\r\n\r\n" + body + b"\r\n" for head, body in parts
    )
    return joined + b"--b0undary--\r\n"


_FIELD = ('Content-Disposition: form-data; name="note"', b"hello")
_FILE = 'Content-Disposition: form-data; name="f"; filename="a.wav"'
_FORMS = {
    "after a preamble": b"A form.\r\n\r\n" + _multipart((_FILE, _WAV)),
    "file alone": _multipart((_FILE, _WAV)),
    "typed": _multipart((f"{_FILE}\r\nContent-Type: audio/wav", _WAV)),
    "after a field": _multipart(_FIELD, (_FILE, _WAV)),
    "before another file": _multipart((_FILE, _WAV), (_FILE, b"other"), _FIELD),
    "without a file name": _multipart(
        ('Content-Disposition: form-data; name="f"\r\nContent-Type: audio/wav', _WAV)
    ),
    "base64 inside": _multipart((f"{_FILE}\r\nContent-Transfer-Encoding: base64", _LINES)),
}


@pytest.mark.parametrize("body", _FORMS.values(), ids=_FORMS.keys())
@pytest.mark.parametrize("path", ["", "/raw"])
@pytest.mark.parametrize("kind", ["form-data", "mixed", "Related"])
def test_the_first_file_of_a_form_is_stored(
    rest: Rest, tenant: Tenant, path: str, kind: str, body: bytes
) -> None:
    content_type = f'multipart/{kind}; boundary="b0undary"'
    reply, served = _post(rest, tenant, path, body, content_type=content_type)
    assert (reply.status, served) == (200, _WAV)


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("multipart/form-data; boundary=b0undary", _multipart(_FIELD), 400, "required"),
        ("multipart/form-data; boundary=b0undary", _multipart((_FILE, b"")), 400, "required"),
        ("multipart/form-data", _multipart((_FILE, _WAV)), 400, "invalid"),
        ("multipart/form-data; boundary=b0undary", b"nonsense", 400, "invalid"),
        (
            "multipart/form-data; boundary=b0undary",
            _multipart((_FILE, _WAV))[:3000],
            400,
            "incomplete",
        ),
    ],
)
def test_a_form_without_a_whole_file_is_refused(
    rest: Rest, tenant: Tenant, content_type: str, body: bytes, status: int, code: str
) -> None:
    reply, _ = _post(rest, tenant, "/raw", body, content_type=content_type)
    assert (reply.status, list(reply.data["file"])) == (status, [code])


_REQUIRED = {"file": {"required": {"message": "Please provide an media file"}}}


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/raw", "audio/mp3", b""),
        ("", "audio/mp3", b""),
        ("/raw", "application/json", b""),
        ("/raw", "application/json", b'{"data":{}}'),
        ("/raw", "application/base64", b""),
        ("/raw", "application/base64", b"data:audio/wav;base64,"),
        ("/raw", "application/octet-stream", b""),
    ],
)
def test_an_upload_of_nothing_is_refused(
    rest: Rest, tenant: Tenant, path: str, content_type: str, body: bytes
) -> None:
    reply, _ = _post(rest, tenant, path, body, content_type=content_type)
    assert (reply.status, reply.data) == (400, _REQUIRED)


@pytest.mark.parametrize(
    "body",
    [b"%PDF-1.7\n", b"PK\x03\x04zip", b"\x89PNG\r\n\x1a\n", b"<html><body>", b'{"a": 1}'],
)
def test_what_is_no_audio_changes_nothing(rest: Rest, tenant: Tenant, body: bytes) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    before = ask(rest, tenant, f"GET {{M}}/{media_id}").json["revision"]
    headers = {"content-type": "audio/mp3"}
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}/raw", body * 300, headers)
    assert (reply.status, list(reply.data["file"])) == (400, ["invalid"])
    assert ask(rest, tenant, f"GET {{M}}/{media_id}").json["revision"] == before
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body == _WAV


@table(
    [
        Case("POST {M}/none/raw", 404, b"x", {"content-type": "audio/mp3"}),
        Case("POST {M}/none", 404, b"x", {"content-type": "audio/mp3"}),
        Case("POST {M}/none/raw", 404, b"x", {"content-type": "multipart/form-data"}),
        Case("POST {M}/none/raw", 404, b"", {"content-type": "application/json"}),
        Case("POST /v2/media/none/raw", 403, b"x", {"content-type": "audio/mp3"}),
    ]
)
def test_an_upload_needs_a_document(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


def test_an_unsupported_type_is_refused_with_the_supported_ones(rest: Rest, tenant: Tenant) -> None:
    reply, _ = _post(rest, tenant, "/raw", b"x", content_type="application/pdf")
    assert (reply.status, reply.json["message"]) == (415, "invalid_media_type")
    assert {"audio/mp3", "audio/ogg", "video/webm"} <= set(reply.data["target"])


@pytest.mark.parametrize("wrap", ["", "chunked", "base64", "form"])
def test_too_much_is_refused(rest: Rest, tenant: Tenant, wrap: str) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    body = _WAV + bytes(10_000)
    types = {"base64": "application/base64", "form": "multipart/form-data; boundary=b0undary"}
    bodies = {"base64": base64.b64encode(body), "form": _multipart((_FILE, body))}
    sent = iter([body]) if wrap == "chunked" else bodies.get(wrap, body)
    headers = [("x-auth-token", tenant.token), ("content-type", types.get(wrap, "audio/wav"))]
    rest.put_setting("crossbar", "max_upload_size", 10_000)
    try:
        reply = rest.send("POST", f"{tenant.media}/{media_id}/raw", sent, headers)
    finally:
        rest.put_setting("crossbar", "max_upload_size", None)
    text = "Payload or Files must not be more than 10000 bytes"
    assert (reply.status, reply.json["message"]) == (413, "request_too_large")
    assert reply.data == {"file": {"maxSize": {"message": text, "target": 10_000}}}
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body == _WAV


def test_every_upload_replaces_the_audio_before(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    mp3 = encoded(_WAV, "mp3")
    reply = upload(rest, tenant, media_id, mp3, "audio/mp3")
    assert reply.data == has(content_type="audio/mp3", content_length=len(mp3))
    found = ask(rest, tenant, f"GET {{M}}/{media_id}/raw")
    assert (found.body, found.headers["content-type"]) == (mp3, "audio/mp3")


def test_an_upload_may_name_what_is_downloaded(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    headers = {"content-type": "audio/wav"}
    named = ask(rest, tenant, f"POST {{M}}/{media_id}/raw?filename=moh", _WAV, headers)
    assert named.data["attachment_name"] == "moh"
    path = f"{{M}}/{media_id}"
    ask(rest, tenant, f"POST {path}", {"data": {"name": "new", "attachment_name": "mine"}})
    found = ask(rest, tenant, f"GET {path}/raw")
    assert found.headers["content-disposition"] == 'attachment; filename="moh.wav"'
    ask(rest, tenant, f"POST {{M}}/{media_id}/raw?filename=a.wave", _WAV, headers)
    found = ask(rest, tenant, f"GET {path}/raw")
    assert found.headers["content-disposition"] == 'attachment; filename="a.wave"'
    upload(rest, tenant, media_id, _WAV)
    found = ask(rest, tenant, f"GET {path}/raw")
    assert found.headers["content-disposition"] == 'attachment; filename="new.wav"'


def test_a_failed_conversion_is_reported(rest: Rest, tenant: Tenant) -> None:
    rest.put_setting("crossbar.media", "normalize_media", value=True)
    try:
        reply, served = _post(rest, tenant, "/raw", bytes(9000), content_type="video/h264")
    finally:
        rest.put_setting("crossbar.media", "normalize_media", value=None)
    assert reply.status == 200
    assert reply.data["normalization_error"]
    assert served == bytes(9000)
