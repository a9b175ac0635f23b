"""An upload that names its normalization, and one that finds no place for it."""

from __future__ import annotations

import base64
import socket

import pytest

from kazoo_media.audio.presets import PRESET_NAMES
from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import ask, create
from tests.support.audio_samples import measure, tone

pytestmark = pytest.mark.gateway

_WAV = tone(0.5, rate=44_100, channels=2)


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        ("/raw?preset=wideband", _WAV, "audio/wav"),
        ("?preset=wideband", _WAV, "audio/wav"),
        ("/raw?preset=wideband", base64.b64encode(_WAV), "application/base64"),
        ("/raw?preset=kazoo&preset=wideband", _WAV, "audio/wav"),
    ],
)
def test_an_upload_may_ask_for_a_preset_where_normalization_is_off(
    rest: Rest, tenant: Tenant, path: str, body: bytes, content_type: str
) -> None:
    media_id = create(rest, tenant)
    headers = {"content-type": content_type}
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}{path}", body, headers)
    assert reply.data["content_type"] == "audio/mpeg"
    heard = measure(ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body, "mp3")
    assert (heard.sample_rate_hertz, heard.channel_count) == (16_000, 1)
    original = ask(rest, tenant, f"GET {{M}}/{media_id}/raw?rendition=original")
    assert original.body == _WAV


def test_an_empty_preset_is_as_none(rest: Rest, tenant: Tenant) -> None:
    media_id, headers = create(rest, tenant), {"content-type": "audio/wav"}
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}/raw?preset=", _WAV, headers)
    assert reply.data["content_type"] == "audio/wav"


def _answer_to_the_first_bytes(rest: Rest, tenant: Tenant, target: str) -> bytes:
    """Send the beginning of an upload, and read the answer."""
    head = (
        f"POST {tenant.media}/{target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        f"x-auth-token: {tenant.token}\r\ncontent-type: audio/wav\r\n"
        f"content-length: {len(_WAV)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", rest.port), timeout=20) as connection:
        connection.sendall(head.encode() + _WAV[:100])
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
    return answer


def test_a_preset_that_does_not_exist_is_refused_at_the_first_bytes(
    rest: Rest, tenant: Tenant
) -> None:
    answer = _answer_to_the_first_bytes(rest, tenant, f"{create(rest, tenant)}/raw?preset=louder")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"validation error"' in answer
    assert all(name.encode() in answer for name in ("louder", *PRESET_NAMES))


def test_a_full_queue_of_conversions_refuses_at_the_first_bytes_and_says_when_to_come_back(
    rest: Rest, tenant: Tenant
) -> None:
    full = {"max_streaming_conversions": 0, "max_queued_conversions": 0}
    for key, value in full.items():
        rest.put_setting("media", key, value)
    try:
        answer = _answer_to_the_first_bytes(
            rest, tenant, f"{create(rest, tenant)}/raw?preset=guard"
        )
    finally:
        for key in full:
            rest.put_setting("media", key, None)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: " in answer.lower()
    assert b'"conversion_queue_full"' in answer
