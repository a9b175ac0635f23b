"""Transfers that break: an upload changes nothing, a download never looks complete."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import ask, create, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_WAV = tone(30)


def _start(rest: Rest, tenant: Tenant, media_id: str, *headers: str) -> socket.socket:
    lines = [
        f"POST {tenant.media}/{media_id}/raw HTTP/1.1",
        f"host: 127.0.0.1:{rest.port}",
        f"x-auth-token: {tenant.token}",
        *headers,
        "",
        "",
    ]
    client = socket.create_connection(("127.0.0.1", rest.port))
    client.sendall("\r\n".join(lines).encode())
    return client


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def _close(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_RDWR)
    client.close()


def _half_close(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)
    client.settimeout(2)
    with contextlib.suppress(TimeoutError):
        client.recv(65536)
    client.close()


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_BASE64 = b"data:audio/wav;base64," + base64.b64encode(_WAV[:90_000])
_FORM = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.wav"\r\n\r\n' + _WAV[:90_000]

_BEGINNINGS = {
    "with a length": (
        ("content-type: audio/wav", f"content-length: {len(_WAV)}"),
        _WAV[:100_000],
    ),
    "chunked": (("content-type: audio/wav", "transfer-encoding: chunked"), _chunk(_WAV[:100_000])),
    "chunked, short": (
        ("content-type: audio/wav", "transfer-encoding: chunked"),
        _chunk(_WAV[:2000]),
    ),
    "chunked base64": (
        ("content-type: application/base64", "transfer-encoding: chunked"),
        _chunk(_BASE64),
    ),
    "chunked form": (
        ("content-type: multipart/form-data; boundary=b", "transfer-encoding: chunked"),
        _chunk(_FORM),
    ),
}


@pytest.mark.parametrize("end", [_reset, _close, _half_close])
@pytest.mark.parametrize("beginning", _BEGINNINGS.values(), ids=_BEGINNINGS.keys())
def test_an_aborted_upload_keeps_the_previous_audio(
    rest: Rest,
    tenant: Tenant,
    beginning: tuple[tuple[str, ...], bytes],
    end: Callable[[socket.socket], None],
) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, tone(0.1))
    before = ask(rest, tenant, f"GET {{M}}/{media_id}").json
    headers, body = beginning
    client = _start(rest, tenant, media_id, *headers)
    client.sendall(body)
    _wait_for(lambda: rest.pending_uploads() > 0)
    end(client)
    _wait_for(lambda: rest.pending_uploads() == 0)
    after = ask(rest, tenant, f"GET {{M}}/{media_id}").json
    assert (after["revision"], after["data"]) == (before["revision"], before["data"])
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body == tone(0.1)


@pytest.mark.parametrize("end", [_reset, _close])
def test_an_aborted_document_changes_nothing(
    rest: Rest, tenant: Tenant, end: Callable[[socket.socket], None]
) -> None:
    media_id = create(rest, tenant, name="before")
    body = b'{"data":{"name":"after"}}'
    for method, headers in (("POST", "content-length: 9999"), ("DELETE", "content-length: 9999")):
        client = socket.create_connection(("127.0.0.1", rest.port))
        head = f"{method} {tenant.media}/{media_id} HTTP/1.1\r\nhost: x\r\n{headers}\r\n"
        client.sendall(f"{head}x-auth-token: {tenant.token}\r\n\r\n".encode() + body)
        _wait_for(lambda: rest.running_calls() > 0)
        end(client)
        _wait_for(lambda: rest.running_calls() == 0)
    assert ask(rest, tenant, f"GET {{M}}/{media_id}").data["name"] == "before"


@pytest.fixture
def failing_reads(rest: Rest) -> Iterator[int]:
    """Let every read fail after 300,000 bytes."""
    rest.blobs.readable_bytes = 300_000
    yield 300_000
    rest.blobs.readable_bytes = None


@pytest.mark.usefixtures("failing_reads")
def test_a_download_that_fails_half_way_never_looks_complete(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, tone(100))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        ask(rest, tenant, f"GET {{M}}/{media_id}/raw")
    _wait_for(lambda: rest.blobs.open_readers == 0)
    assert ask(rest, tenant, f"GET {{M}}/{media_id}").status == 200


@pytest.mark.usefixtures("failing_reads")
def test_small_audio_is_read_before_its_first_byte_is_sent(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    reply = ask(rest, tenant, f"GET {{M}}/{media_id}/raw")
    assert (reply.status, reply.json["message"]) == (503, "datastore_unreachable")


def test_a_client_that_leaves_a_download_releases_it(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, tone(1500))
    client = socket.create_connection(("127.0.0.1", rest.port))
    head = f"GET {tenant.media}/{media_id}/raw HTTP/1.1\r\nhost: x\r\n"
    client.sendall(f"{head}x-auth-token: {tenant.token}\r\n\r\n".encode())
    assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
    _wait_for(lambda: rest.blobs.open_readers == 1)
    _reset(client)
    _wait_for(lambda: rest.blobs.open_readers == 0)


def test_what_is_missing_is_an_error_before_the_first_byte(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, tone(0.1))
    rest.run(rest.remove_blobs_of(tenant.id, media_id))
    reply = ask(rest, tenant, f"GET {{M}}/{media_id}/raw")
    assert (reply.status, reply.json["message"]) == (500, "content_damaged")
