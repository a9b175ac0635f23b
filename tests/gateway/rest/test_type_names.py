"""The names that browsers, phones and object stores have for types of audio."""

from __future__ import annotations

import base64

import pytest

from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import ask, create, has
from tests.support.audio_samples import measure, tone
from tests.unit.audio.inspect.made_containers import in_container

pytestmark = pytest.mark.gateway

_WAV, _RAW = "wav", "raw"
_CODECS = "video/webm;codecs=vp8,opus"


def _audio(name: str) -> bytes:
    if name == _RAW:
        return tone(0.3, rate=16_000)[44:]
    return tone(0.3) if name == _WAV else in_container(name)


def _serves(rest: Rest, tenant: Tenant, media_id: str, reply: Reply, name: str) -> str:
    """Check that the upload succeeded and is served as it was sent; return the type."""
    assert reply.status == 200, reply.body
    served = ask(rest, tenant, f"GET {{M}}/{media_id}/raw?rendition=original")
    assert served.body == _audio(name)
    return served.headers["content-type"]


@pytest.mark.parametrize(
    ("name", "sent", "stored"),
    [
        (_WAV, "audio/x-wave", "audio/x-wave"),
        (_WAV, "application/x-wav", "application/x-wav"),
        (_WAV, "binary/octet-stream", "audio/x-wav"),
        (_WAV, "Binary/Octet-Stream; charset=binary", "audio/x-wav"),
        (_WAV, "audio/3gpp", "audio/x-wav"),
        (_RAW, "audio/L16;channels=2; rate=44100", "audio/l16;rate=44100;channels=2"),
        (_WAV, "audio/wav;codecs=1,7", "audio/wav"),
        (_WAV, 'audio/x-wave; codecs="1, 7"; x=a,b/c/d', "audio/x-wave"),
        ("3gp", "audio/3gpp", "audio/3gpp"),
        ("3gp", "audio/3gpp;codecs=samr,mp4a.40.2", "audio/3gpp"),
        ("3gp", "binary/octet-stream", "audio/3gpp"),
        ("3gp", "video/mp4", "video/mp4"),
        ("3g2", "audio/3gpp2", "audio/3gpp2"),
        ("3g2", "application/octet-stream", "audio/3gpp2"),
        ("m4a", "audio/mp4;codecs=avc1.42E01E, mp4a.40.2", "audio/mp4"),
        ("webm, opus", _CODECS, "video/webm"),
        ("webm, opus", "video/webm; codecs=vp8, opus", "video/webm"),
        ("webm, opus", f"application/json, {_CODECS}", "video/webm"),
        ("webm, opus", f"{_CODECS}, audio/webm;codecs=opus", "audio/webm"),
        ("webm, opus", f"{_CODECS},", "video/webm"),
    ],
)
@pytest.mark.parametrize("path", ["", "/raw"])
def test_a_type_is_taken_by_any_of_its_names(
    rest: Rest, tenant: Tenant, path: str, name: str, sent: str, stored: str
) -> None:
    media_id = create(rest, tenant)
    headers = {"content-type": sent}
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}{path}", _audio(name), headers)
    assert _serves(rest, tenant, media_id, reply, name) == stored


@pytest.mark.parametrize("name", ["3gp", "3g2"])
def test_what_phones_record_is_normalized_and_keeps_its_extension(
    rest: Rest, tenant: Tenant, name: str
) -> None:
    media_id = create(rest, tenant)
    headers = {"content-type": "binary/octet-stream"}
    path = f"POST {{M}}/{media_id}/raw?preset=telephony"
    reply = ask(rest, tenant, path, in_container(name), headers)
    assert "normalization_error" not in reply.data, reply.data
    assert measure(ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body, "mp3").duration_s == (
        pytest.approx(10.0, abs=0.3)
    )
    kept = ask(rest, tenant, f"GET {{M}}/{media_id}/raw?rendition=original")
    assert kept.headers["content-disposition"] == f'attachment; filename="File.{name}"'


@pytest.mark.parametrize(
    ("head", "stored"),
    [
        (f"data:{_CODECS};base64,", "video/webm"),
        (f"DATA:{_CODECS};BASE64,", "video/webm"),
        ("data:video/webm;codecs=vp8, opus;base64,", "video/webm"),
        ('data:audio/webm;codecs="vp8,opus";base64,', "audio/webm"),
        ("data:audio/webm;name=a,b.webm;codecs=opus;base64,", "audio/webm"),
        ("data:;base64,", "video/webm"),
        ("data:binary/octet-stream;base64,", "video/webm"),
    ],
)
@pytest.mark.parametrize("quoted", [False, True])
def test_a_data_url_ends_its_head_after_base64(
    rest: Rest, tenant: Tenant, head: str, stored: str, *, quoted: bool
) -> None:
    media_id = create(rest, tenant)
    text = head + base64.b64encode(in_container("webm, opus")).decode()
    text = '"' + text.replace('"', '\\"') + '"' if quoted else text
    headers = {"content-type": "application/base64"}
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}/raw", text.encode(), headers)
    assert _serves(rest, tenant, media_id, reply, "webm, opus") == stored


@pytest.mark.parametrize("head", ["data:audio/webm,", "data:audio/webm;codecs=vp8,opus,", "data:,"])
def test_a_data_url_without_base64_is_refused(rest: Rest, tenant: Tenant, head: str) -> None:
    media_id = create(rest, tenant)
    text = head.encode() + base64.b64encode(tone(0.3))
    headers = {"content-type": "application/base64"}
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}/raw", text, headers)
    assert (reply.status, reply.data) == (400, {"file": has(encoding=has())})


def test_a_file_name_tells_the_rate_of_signed_linear(rest: Rest, tenant: Tenant) -> None:
    audio = _audio(_RAW)
    part = b'content-disposition: form-data; name="f"; filename="hold.sln16"\r\n\r\n' + audio
    body = b"--b\r\n" + part + b"\r\n--b--\r\n"
    form = {"content-type": "multipart/form-data; boundary=b"}
    for path, sent, headers in (("", body, form), ("?filename=hold.sln16", audio, {})):
        media_id = create(rest, tenant)
        reply = ask(rest, tenant, f"POST {{M}}/{media_id}/raw{path}", sent, headers)
        assert _serves(rest, tenant, media_id, reply, _RAW) == "audio/x-sln;rate=16000"
        shown = ask(rest, tenant, f"GET {{M}}/{media_id}").data
        assert (shown["duration_ms"], shown["codec"]) == (300, "linear16")
