"""Resumable uploads with the tus protocol."""

from __future__ import annotations

import base64
import io
import random
import socket
import time
import wave
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from tusclient.client import TusClient

from kazoo_media.access.accounts import ReadScope
from kazoo_media.metadata.uploads import UploadState
from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import ask
from tests.support.audio_samples import tone
from tests.support.cutting_proxy import CuttingProxy
from tests.support.repetitions import repetitions

pytestmark = pytest.mark.gateway

_WAV = tone(0.2)
_TUS = {"tus-resumable": "1.0.0"}
_CHUNK = {**_TUS, "content-type": "application/offset+octet-stream"}
_SEED = 20261130
_UPLOADS = "/v2/accounts/{A}/uploads"


def _noise(seed: int, seconds: int) -> bytes:
    """Return a WAV that no other seed gives."""
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, 8000, 0, "NONE", ""))
        wav.writeframes(random.Random(seed).randbytes(16_000 * seconds))
    return file.getvalue()


def _metadata(**values: str) -> str:
    pairs = values.items()
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs)


def _create(
    rest: Rest, tenant: Tenant, size: int, body: bytes | None = None, **headers: str
) -> str:
    """Return the path of a new upload."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {**(_TUS if body is None else _CHUNK), "upload-length": str(size), **named}
    reply = ask(rest, tenant, f"POST {_UPLOADS}", body or b"", sent)
    assert reply.status == 201, reply.body
    assert reply.headers["upload-offset"] == str(len(body or b""))
    return reply.headers["location"]


def _patch(rest: Rest, tenant: Tenant, path: str, offset: int, data: bytes, **more: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return ask(
        rest, tenant, f"PATCH {path}", data, {**_CHUNK, "upload-offset": str(offset), **named}
    )


def _head(rest: Rest, tenant: Tenant, path: str) -> Reply:
    return ask(rest, tenant, f"HEAD {path}", None, _TUS)


def _offset(rest: Rest, tenant: Tenant, path: str) -> int:
    reply = _head(rest, tenant, path)
    assert reply.status == 200
    return int(reply.headers["upload-offset"])


def _recording(rest: Rest, tenant: Tenant, path: str) -> bytes:
    """Return the audio of the recording that an upload has become."""
    upload_id = path.rpartition("/")[2]
    listed = ask(rest, tenant, f"GET /v2/accounts/{{A}}/recordings?filter_upload_id={upload_id}")
    [recording] = listed.data
    path = f"GET /v2/accounts/{{A}}/recordings/{recording['id']}?accept=audio/x-wav"
    return ask(rest, tenant, path).body


def test_tuspy_gets_through_a_network_that_cuts(rest: Rest, tenant: Tenant) -> None:
    def send(number: int) -> None:
        audio = _noise(_SEED + number, 10)
        path = _create(rest, tenant, len(audio), upload_metadata=_metadata(name="noise"))
        with (
            closing(_hanging(rest, tenant, path, len(audio))) as hanging,
            CuttingProxy(rest.port, _SEED + number, 5, 60_000) as proxy,
        ):
            hanging.sendall(audio[:1000])
            uploader = TusClient("", headers={"X-Auth-Token": tenant.token}).uploader(
                file_stream=io.BytesIO(audio),
                url=f"http://127.0.0.1:{rest.port}{path}",  # it does not retry its first HEAD
                retries=60,
                retry_delay=0,
                chunk_size=60_000,
            )
            uploader.set_url(f"http://127.0.0.1:{proxy.port}{path}")
            uploader.upload()
            assert proxy.cuts
        assert _recording(rest, tenant, path) == audio

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(repetitions(12, 50))))


def test_a_patch_that_hangs_loses_nothing_and_hinders_nobody(rest: Rest, tenant: Tenant) -> None:
    path = _create(rest, tenant, len(_WAV))
    with closing(_hanging(rest, tenant, path, len(_WAV))) as hanging:
        hanging.sendall(_WAV[:1000])
        _await_bytes(rest, tenant, path, 1000)
        assert _offset(rest, tenant, path) == 1000
        assert _patch(rest, tenant, path, 1000, _WAV[1000:]).status == 204
        assert _recording(rest, tenant, path) == _WAV
        hanging.sendall(_WAV[1000:1100])
        assert hanging.recv(4096).startswith(b"HTTP/1.1 409 ")


def _hanging(rest: Rest, tenant: Tenant, path: str, size: int) -> socket.socket:
    """Return the connection of a PATCH that begins an upload and has sent its head."""
    head = f"PATCH {path} HTTP/1.1\r\nhost: x\r\nx-auth-token: {tenant.token}\r\n"
    for name, value in {**_CHUNK, "upload-offset": "0", "content-length": str(size)}.items():
        head += f"{name}: {value}\r\n"
    connection = socket.create_connection(("127.0.0.1", rest.port), timeout=20)
    connection.sendall(f"{head}\r\n".encode())
    return connection


def _await_bytes(rest: Rest, tenant: Tenant, path: str, size: int) -> None:
    """Return when so many bytes are durable; a request that asks would take the upload over."""
    scope, upload_id = ReadScope(tenant.id), path.rpartition("/")[2]
    deadline = time.monotonic() + 20
    while rest.run(rest.core.recordings.get(scope, upload_id)).row.persisted_size < size:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_patch_of_unknown_length_is_appended(rest: Rest, tenant: Tenant) -> None:
    path = _create(rest, tenant, len(_WAV))
    headers = {"x-auth-token": tenant.token, **_CHUNK, "upload-offset": "0"}
    parts = [_WAV[:500], _WAV[500:900]]
    assert rest.send("PATCH", path, parts, [*headers.items()]).status == 204
    assert _offset(rest, tenant, path) == 900
    assert _patch(rest, tenant, path, 900, _WAV[900:]).status == 204
    assert _recording(rest, tenant, path) == _WAV


def test_what_fits_of_a_patch_of_unknown_length_is_kept(rest: Rest, tenant: Tenant) -> None:
    path = _create(rest, tenant, len(_WAV))
    headers = {"x-auth-token": tenant.token, **_CHUNK, "upload-offset": "0"}
    reply = rest.send("PATCH", path, [_WAV[:500], _WAV[500:] + b"x"], [*headers.items()])
    assert reply.status == 413
    assert _offset(rest, tenant, path) == len(_WAV)
    assert _recording(rest, tenant, path) == _WAV
    assert _patch(rest, tenant, path, len(_WAV), b"x").status == 413


def test_an_upload_becomes_a_recording(rest: Rest, tenant: Tenant) -> None:
    metadata = _metadata(
        filename="call.wav", filetype="audio/wav", call_id="c1", start="63900000000"
    )
    path = _create(rest, tenant, len(_WAV), _WAV[:100], upload_metadata=metadata)
    head = _head(rest, tenant, path)
    wanted = {"upload-offset": "100", "upload-length": str(len(_WAV)), **_TUS}
    assert head.headers.items() >= {**wanted, "upload-metadata": metadata}.items()
    assert "upload-expires" in head.headers
    assert head.headers["cache-control"].startswith("no-store")
    done = _patch(rest, tenant, path, 100, _WAV[100:])
    assert (done.status, done.headers["upload-offset"]) == (204, str(len(_WAV)))
    assert done.headers["tus-resumable"] == "1.0.0"
    assert "upload-expires" not in done.headers
    [recording] = ask(rest, tenant, "GET /v2/accounts/{A}/recordings").data
    wanted_keys = {"name": "call.wav", "call_id": "c1", "start": 63900000000}
    assert recording.items() >= wanted_keys.items()
    assert _recording(rest, tenant, path) == _WAV
    assert _offset(rest, tenant, path) == len(_WAV)
    assert _patch(rest, tenant, path, len(_WAV), b"").status == 204
    assert len(ask(rest, tenant, "GET /v2/accounts/{A}/recordings").data) == 1


def test_a_length_may_be_told_later(rest: Rest, tenant: Tenant) -> None:
    headers = {**_TUS, "upload-defer-length": "1"}
    path = ask(rest, tenant, f"POST {_UPLOADS}", b"", headers).headers["location"]
    assert _patch(rest, tenant, path, 0, _WAV[:50]).status == 204
    head = _head(rest, tenant, path)
    assert head.headers["upload-defer-length"] == "1"
    assert "upload-length" not in head.headers
    size = str(len(_WAV))
    assert _patch(rest, tenant, path, 50, _WAV[50:60], upload_length=size).status == 204
    assert _head(rest, tenant, path).headers["upload-length"] == size
    assert _patch(rest, tenant, path, 60, b"x", upload_length="70").status == 400
    assert _patch(rest, tenant, path, 60, _WAV[60:]).status == 204
    assert _recording(rest, tenant, path) == _WAV


_BAD: Mapping[str, tuple[str, Mapping[str, str], bytes, int]] = {
    "before the offset": ("PATCH", {"upload-offset": "0"}, b"x", 409),
    "after the offset": ("PATCH", {"upload-offset": "101"}, b"x", 409),
    "no offset": ("PATCH", {"upload-offset": ""}, b"x", 400),
    "type": ("PATCH", {"upload-offset": "100", "content-type": "audio/wav"}, b"x", 415),
    "over the length": ("PATCH", {"upload-offset": "100"}, bytes(len(_WAV)), 413),
    "no version": ("PATCH", {"upload-offset": "100", "tus-resumable": ""}, b"x", 412),
    "other version": ("HEAD", {"tus-resumable": "0.2.2"}, b"", 412),
    "another length": ("PATCH", {"upload-offset": "100", "upload-length": "7"}, b"x", 400),
    "GET": ("GET", {}, b"", 405),
}


@pytest.mark.parametrize("name", _BAD)
def test_a_bad_request_leaves_the_upload_as_it_was(rest: Rest, tenant: Tenant, name: str) -> None:
    path = _create(rest, tenant, len(_WAV), _WAV[:100])
    method, headers, body, status = _BAD[name]
    reply = ask(rest, tenant, f"{method} {path}", body or None, {**_CHUNK, **headers})
    assert reply.status == status
    assert reply.headers["tus-version"] == "1.0.0"
    assert _offset(rest, tenant, path) == 100


def test_an_upload_that_is_gone_is_gone(rest: Rest, tenant: Tenant) -> None:
    path = _create(rest, tenant, len(_WAV), _WAV[:100])
    other = path.replace(tenant.id, rest.stranger.id)
    assert _head(rest, rest.stranger, other).status == 404
    assert _head(rest, rest.stranger, path).status == 403
    assert ask(rest, tenant, f"HEAD {path}", None, _TUS, token=False).status == 401
    assert _head(rest, tenant, f"{_UPLOADS}/tus-unknown").status == 404
    assert ask(rest, tenant, f"DELETE {path}", None, _TUS).status == 204
    assert _head(rest, tenant, path).status == 410
    assert _patch(rest, tenant, path, 100, _WAV[100:]).status == 410
    assert ask(rest, tenant, f"DELETE {path}", None, _TUS).status == 410


_REFUSED: Mapping[str, tuple[Mapping[str, str], int]] = {
    "no length": ({}, 400),
    "empty": ({"upload-length": "0"}, 400),
    "no number": ({"upload-length": "-1"}, 400),
    "too long": ({"upload-length": "2000000001"}, 413),
    "no base64": ({"upload-length": "9", "upload-metadata": "name *"}, 400),
    "a picture": ({"upload-length": "9", "upload-metadata": _metadata(type="image/png")}, 415),
    "no digest": ({"upload-length": "9", "upload-metadata": _metadata(sha256="x")}, 400),
    "no version": ({"upload-length": "9", "tus-resumable": ""}, 412),
    "raw without a rate": (
        {"upload-length": "9", "upload-metadata": _metadata(type="audio/L16")},
        415,
    ),
    "over its length": ({**_CHUNK, "upload-length": "9"}, 413),
}


@pytest.mark.parametrize("name", _REFUSED)
def test_a_bad_upload_does_not_begin(rest: Rest, tenant: Tenant, name: str) -> None:
    headers, status = _REFUSED[name]
    body = b"0123456789" if "content-type" in headers else b""
    reply = ask(rest, tenant, f"POST {_UPLOADS}", body, {**_TUS, **headers})
    assert (reply.status, reply.headers["tus-resumable"]) == (status, "1.0.0")
    assert _states(rest, tenant) == []


def _states(rest: Rest, tenant: Tenant) -> list[UploadState]:
    found, _ = rest.run(rest.core.recordings.list_page(ReadScope(tenant.id), "", 100))
    return [each.row.state for each in found]


def _await_states(rest: Rest, tenant: Tenant, states: list[UploadState]) -> None:
    """Return when the uploads of an account are in these states."""
    deadline = time.monotonic() + 20
    while sorted(_states(rest, tenant)) != states:
        assert time.monotonic() < deadline, _states(rest, tenant)
        time.sleep(0.02)


def test_an_upload_whose_first_bytes_fail_is_discarded(rest: Rest, tenant: Tenant) -> None:
    text = b"<html><body>not audio</body></html>"
    for size, body, status in ((len(text), [text], 400), (len(_WAV), [_WAV, b"x"], 413)):
        headers = {"x-auth-token": tenant.token, **_CHUNK, "upload-length": str(size)}
        path = _UPLOADS.replace("{A}", tenant.id)
        assert rest.send("POST", path, body, [*headers.items()]).status == status
    head = f"POST {_UPLOADS.replace('{A}', tenant.id)} HTTP/1.1\r\nhost: x\r\n"
    length = str(len(_WAV))
    sent = {**_CHUNK, "upload-length": length, "content-length": length}
    for name, value in {"x-auth-token": tenant.token, **sent}.items():
        head += f"{name}: {value}\r\n"
    with closing(socket.create_connection(("127.0.0.1", rest.port), timeout=20)) as cut:
        cut.sendall(f"{head}\r\n".encode() + _WAV[:1000])
        _await_states(rest, tenant, [UploadState.DISCARDED] * 2 + [UploadState.RECEIVING])
    _await_states(rest, tenant, [UploadState.DISCARDED] * 3)
    assert ask(rest, tenant, "GET /v2/accounts/{A}/recordings").data == []
    assert rest.pending_uploads() == 0


def test_a_whole_upload_in_one_request_does_not_expire(rest: Rest, tenant: Tenant) -> None:
    sent = {**_CHUNK, "upload-length": str(len(_WAV))}
    reply = ask(rest, tenant, f"POST {_UPLOADS}", _WAV, sent)
    assert (reply.status, reply.headers["upload-offset"]) == (201, str(len(_WAV)))
    assert "upload-expires" not in reply.headers
    assert _recording(rest, tenant, reply.headers["location"]) == _WAV


def test_what_is_no_audio_becomes_no_recording(rest: Rest, tenant: Tenant) -> None:
    text = b"<html><body>not audio</body></html>"
    path = _create(rest, tenant, len(text))
    assert _patch(rest, tenant, path, 0, text).status == 400
    assert _head(rest, tenant, path).status == 400
    digest = _metadata(sha256="0" * 64)
    path = _create(rest, tenant, len(_WAV), upload_metadata=digest)
    assert _patch(rest, tenant, path, 0, _WAV).status == 400
    assert ask(rest, tenant, "GET /v2/accounts/{A}/recordings").data == []
    assert ask(rest, tenant, f"DELETE {path}", None, _TUS).status == 204


def test_a_browser_may_use_it(rest: Rest, tenant: Tenant) -> None:
    path = _create(rest, tenant, len(_WAV))
    for each in (path, _UPLOADS):
        options = ask(rest, tenant, f"OPTIONS {each}", token=False)
        assert options.status == 200
        assert options.headers["tus-version"] == "1.0.0"
        assert "creation-defer-length" in options.headers["tus-extension"]
        allowed = options.headers["access-control-allow-headers"].lower().split(", ")
        wanted = {"tus-resumable", "upload-offset", "upload-length", "upload-metadata"}
        assert {*wanted, "upload-defer-length", "x-auth-token", "content-type"} <= {*allowed}
    assert "PATCH" in ask(rest, tenant, f"OPTIONS {path}").headers["access-control-allow-methods"]
    headers = {**_CHUNK, "origin": "https://x.example", "upload-offset": "0"}
    override = {**headers, "x-http-method-override": "PATCH"}
    reply = ask(rest, tenant, f"POST {path}", _WAV, override)
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "upload-offset" in reply.headers["access-control-expose-headers"]
    assert _recording(rest, tenant, path) == _WAV
