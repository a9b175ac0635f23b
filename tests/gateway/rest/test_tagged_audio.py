"""Audio behind ID3v2 tags: recognised, stored, served and converted as what it is."""

from __future__ import annotations

import pytest

from kazoo_media.access.accounts import WriteScope
from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import ask, create, has
from tests.support.audio_samples import CodedFormat, encoded, measure, tone
from tests.unit.audio.convert.damage import id3
from tests.unit.audio.inspect.made_containers import SECONDS, in_container

pytestmark = pytest.mark.gateway

_WAV = tone(2.0, rate=16_000, frequency_hertz=440)
_KINDS = {
    "wav": ("audio/x-wav", "wav"),
    "ogg": ("audio/ogg", "ogg"),
    "flac": ("audio/flac", "flac"),
    "amr-nb": ("audio/amr", "amr"),
    "au": ("audio/basic", "au"),
    "mp3": ("audio/mpeg", "mp3"),
    "m4a": ("audio/mp4", "m4a"),
    "opus": ("audio/ogg", "ogg"),
    "aac": ("audio/aac", "aac"),
}
_CONTAINERS = {"m4a", "opus", "aac"}
_TAGS = {
    "empty": id3(0),
    "small": id3(300),
    "large": id3(90_000),
    "picture": id3(1_500_000),
    "three": id3(40) + id3(70_000) + id3(5),
}


def _audio(kind: str) -> bytes:
    if kind in _CONTAINERS:
        return in_container(kind)
    coded: CodedFormat = kind  # type: ignore[assignment]
    return _WAV if kind == "wav" else encoded(_WAV, coded)


def _seconds(kind: str) -> float:
    return SECONDS if kind in _CONTAINERS else 2.0


def _upload(rest: Rest, tenant: Tenant, audio: bytes, query: str = "") -> str:
    media_id = create(rest, tenant)
    headers = {"content-type": "audio/mpeg"}
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}/raw{query}", audio, headers)
    assert reply.status == 200, reply.body
    return media_id


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("tag", _TAGS)
def test_it_is_served_as_what_it_is(rest: Rest, tenant: Tenant, tag: str, kind: str) -> None:
    audio = _TAGS[tag] + _audio(kind)
    media_id = _upload(rest, tenant, audio)
    served = ask(rest, tenant, f"GET {{M}}/{media_id}/raw")
    content_type, extension = _KINDS[kind]
    assert served.body == audio
    assert served.headers["content-type"] == content_type
    assert served.headers["content-disposition"].endswith(f'"File.{extension}"')
    document = ask(rest, tenant, f"GET {{M}}/{media_id}").data
    assert document["duration_ms"] == pytest.approx(_seconds(kind) * 1000, abs=120)
    assert document["peak_dbfs"] < 0  # it could be decoded


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("tag", ["small", "picture"])
@pytest.mark.parametrize("preset", ["kazoo", "telephony"])
def test_it_is_converted(rest: Rest, tenant: Tenant, preset: str, tag: str, kind: str) -> None:
    media_id = _upload(rest, tenant, _TAGS[tag] + _audio(kind), f"?preset={preset}")
    document = ask(rest, tenant, f"GET {{M}}/{media_id}").data
    assert document == has(content_type="audio/mpeg", normalization_preset=preset)
    assert "normalization_error" not in document
    found = measure(ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body, "mp3")
    assert found.duration_s == pytest.approx(_seconds(kind), abs=0.3)
    again = ask(rest, tenant, f"GET {{M}}/{media_id}/raw?rendition=original")
    assert again.headers["content-type"] == _KINDS[kind][0]


@pytest.mark.parametrize(
    ("behind", "label"),
    [(b"%PDF-1.7\n" + bytes(600), "a PDF document"), (b"PK\x03\x04" + bytes(600), "a ZIP archive")],
)
@pytest.mark.parametrize("tag", _TAGS)
def test_a_tag_does_not_make_audio(
    rest: Rest, tenant: Tenant, tag: str, behind: bytes, label: str
) -> None:
    media_id = create(rest, tenant)
    headers = {"content-type": "audio/mpeg"}
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}/raw", _TAGS[tag] + behind, headers)
    assert (reply.status, list(reply.data["file"])) == (400, ["invalid"])
    assert label in reply.body.decode()


def test_behind_too_large_a_tag_nothing_is_looked_for(rest: Rest, tenant: Tenant) -> None:
    media_id = _upload(rest, tenant, id3(2 * 1024 * 1024) + _audio("flac"))
    served = ask(rest, tenant, f"HEAD {{M}}/{media_id}/raw")
    assert served.headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize("kind", ["flac", "wav", "m4a"])
def test_it_can_be_converted_later(rest: Rest, tenant: Tenant, kind: str) -> None:
    media_id = _upload(rest, tenant, _TAGS["picture"] + _audio(kind))
    again = rest.core.renormalization.normalize
    rest.run(again(WriteScope(tenant.id), media_id, preset="telephony"))
    found = measure(ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body, "mp3")
    assert found.duration_s == pytest.approx(_seconds(kind), abs=0.3)
