"""What the built product promises its users: honest transfers, tenants apart, normalized audio."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kazoo_media.v1 import account_service_pb2 as accounts_pb
from kazoo_media.v1 import media_service_pb2 as media_pb
from kazoo_media.v1.account_service_pb2_grpc import AccountServiceStub
from kazoo_media.v1.media_pb2 import Media
from tests.contract.upload_promises import wav
from tests.e2e.clients import (
    GrpcUpload,
    RestUpload,
    Tenant,
    command,
    pending_blobs,
    wait_until_settled,
)
from tests.rpc.service import refused
from tests.support.audio_samples import measure, tone
from tests.support.product import Product, wait_until

pytestmark = pytest.mark.e2e

_AUDIO = wav(100_000, seed=1)


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    with (
        Product(tmp_path_factory.mktemp("promises")) as product,
        Tenant.log_in(product) as tenant,
    ):
        yield tenant


@pytest.fixture
def tenant(admin: Tenant) -> Iterator[Tenant]:
    with admin.new_tenant() as tenant:
        yield tenant


@pytest.fixture
def other(admin: Tenant) -> Iterator[Tenant]:
    with admin.new_tenant() as tenant:
        yield tenant


def test_a_body_shorter_than_its_content_length_changes_nothing(tenant: Tenant) -> None:
    media_id = tenant.with_audio(wav(30_000))
    before = tenant.document(media_id)
    upload = RestUpload(tenant, media_id, len(_AUDIO) + 1)
    upload.send(_AUDIO)
    wait_until(lambda: pending_blobs(tenant.product) == 1, "the upload has begun")
    upload.cut()
    wait_until_settled(tenant.product)
    assert tenant.document(media_id) == before
    assert tenant.download(media_id) == wav(30_000)


def test_of_a_body_longer_than_its_content_length_so_much_is_taken(tenant: Tenant) -> None:
    media_id = tenant.create()
    upload = RestUpload(tenant, media_id, len(_AUDIO))
    upload.send(_AUDIO + b"what follows is no request\r\n\r\n")
    assert upload.finish().json()["data"]["content_length"] == len(_AUDIO)
    assert tenant.download(media_id) == _AUDIO


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(tenant: Tenant) -> None:
    media_id = tenant.create()
    upload = RestUpload(tenant, media_id, len(_AUDIO), headers=["Expect: 100-continue"])
    assert upload.socket.recv(1000).startswith(b"HTTP/1.1 100 ")
    upload.send(_AUDIO)
    assert upload.finish().status == 200
    assert tenant.download(media_id) == _AUDIO


def test_curl_asks_before_it_sends_much(tenant: Tenant, tmp_path: Path) -> None:
    media_id = tenant.create()
    audio = wav(3_000_000)
    answer = curl_upload(tenant, media_id, audio, tmp_path, "--header", "Expect: 100-continue")
    assert answer["status"] == "success"
    assert tenant.download(media_id) == audio


@pytest.mark.parametrize("path", ["", "/{media}", "/{media}/raw", "/prompts", "/languages"])
@pytest.mark.parametrize("name", ["account_id", "account-id", "AccountId", "media_id"])
def test_a_query_reaches_no_other_tenant(
    tenant: Tenant, other: Tenant, path: str, name: str
) -> None:
    own, foreign = tenant.with_audio(_AUDIO), other.with_audio(wav(30_000))
    url = tenant.path() + path.format(media=own)
    plain = tenant.http.get(url)
    value = foreign if name == "media_id" else other.account_id
    answer = tenant.http.get(url, params={name: value})
    if path.endswith("/raw"):
        assert answer.content == _AUDIO
        return
    assert answer.json()["data"] == plain.json()["data"]


def test_an_upload_with_a_query_goes_to_no_other_tenant(tenant: Tenant, other: Tenant) -> None:
    own, foreign = tenant.create(), other.with_audio(_AUDIO)
    query = {"account_id": other.account_id, "media_id": foreign, "body.data": "x"}
    headers = {"content-type": "audio/wav"}
    audio = wav(30_000, seed=2)
    url = tenant.path(own, raw=True)
    answer = tenant.http.post(url, params=query, content=audio, headers=headers)
    assert answer.status_code == 200
    assert tenant.download(own) == audio
    assert other.download(foreign) == _AUDIO


def test_a_body_reaches_no_other_tenant(tenant: Tenant, other: Tenant) -> None:
    theirs = {"account_id": other.account_id, "media_id": "theirs"}
    body = {"data": {"name": "mine", **theirs}, **theirs}
    created = tenant.http.put(tenant.path(), json=body).json()["data"]
    assert tenant.document(created["id"])["name"] == "mine"
    updated = {"data": {"name": "changed", **theirs}, **theirs}
    assert tenant.http.post(tenant.path(created["id"]), json=updated).status_code == 200
    assert tenant.document(created["id"])["name"] == "changed"
    assert other.http.get(other.path()).json()["data"] == []


_REST_CALLS = {
    "list": ("GET", ""),
    "create": ("PUT", ""),
    "get": ("GET", "/{media}"),
    "update": ("POST", "/{media}"),
    "patch": ("PATCH", "/{media}"),
    "delete": ("DELETE", "/{media}"),
    "download": ("GET", "/{media}/raw"),
    "upload": ("POST", "/{media}/raw"),
}


@pytest.mark.parametrize(("method", "path"), _REST_CALLS.values(), ids=_REST_CALLS.keys())
def test_a_token_opens_no_other_account_over_rest(
    tenant: Tenant, other: Tenant, method: str, path: str
) -> None:
    foreign = other.with_audio(_AUDIO)
    url = other.path() + path.format(media=foreign)
    body: dict[str, object] = {"json": {"data": {"name": "x"}}}
    if path.endswith("/raw"):
        body = {"content": wav(30_000), "headers": {"content-type": "audio/wav"}}
    answer = tenant.http.request(method, url, **({} if method == "GET" else body))  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert answer.json()["message"] == "forbidden"
    assert other.document(foreign)["name"] == "a media"
    assert other.download(foreign) == _AUDIO


def _create(tenant: Tenant, account_id: str, _: str) -> object:
    request = media_pb.CreateMediaRequest(account_id=account_id, media=Media(name="x"))
    return tenant.stub.CreateMedia(request, metadata=tenant.metadata)


def _get(tenant: Tenant, account_id: str, media_id: str) -> object:
    request = media_pb.GetMediaRequest(account_id=account_id, media_id=media_id)
    return tenant.stub.GetMedia(request, metadata=tenant.metadata)


def _list(tenant: Tenant, account_id: str, _: str) -> object:
    request = media_pb.ListMediaRequest(account_id=account_id)
    return tenant.stub.ListMedia(request, metadata=tenant.metadata)


def _update(tenant: Tenant, account_id: str, media_id: str) -> object:
    media = Media(id=media_id, name="x")
    request = media_pb.UpdateMediaRequest(account_id=account_id, media=media)
    return tenant.stub.UpdateMedia(request, metadata=tenant.metadata)


def _delete(tenant: Tenant, account_id: str, media_id: str) -> object:
    request = media_pb.DeleteMediaRequest(account_id=account_id, media_id=media_id)
    return tenant.stub.DeleteMedia(request, metadata=tenant.metadata)


def _download(tenant: Tenant, account_id: str, media_id: str) -> object:
    request = media_pb.DownloadContentRequest(account_id=account_id, media_id=media_id)
    return list(tenant.stub.DownloadContent(request, metadata=tenant.metadata))


def _upload(tenant: Tenant, account_id: str, media_id: str) -> object:
    header = media_pb.UploadContentRequest.Header(account_id=account_id, media_id=media_id)
    messages = [media_pb.UploadContentRequest(header=header)]
    return tenant.stub.UploadContent(iter(messages), metadata=tenant.metadata)


def _account(tenant: Tenant, account_id: str, _: str) -> object:
    request = accounts_pb.GetAccountRequest(account_id=account_id)
    return AccountServiceStub(tenant.channel).GetAccount(request, metadata=tenant.metadata)


@pytest.mark.parametrize(
    "call", [_create, _get, _list, _update, _delete, _download, _upload, _account]
)
def test_a_token_opens_no_other_account_over_grpc(
    tenant: Tenant, other: Tenant, call: Callable[[Tenant, str, str], object]
) -> None:
    foreign = other.with_audio(_AUDIO)
    with refused("PERMISSION_DENIED", "FORBIDDEN"):
        call(tenant, other.account_id, foreign)
    assert other.document(foreign)["name"] == "a media"
    assert other.download(foreign) == _AUDIO


@pytest.fixture
def normalizing(admin: Tenant) -> Iterator[Tenant]:
    """Switch normalization on for a test, as an operator does."""
    configure(admin.product, "crossbar.media", "normalize_media", "true")
    yield admin
    configure(admin.product, "crossbar.media", "normalize_media", "false")


def configure(product: Product, category: str, key: str, value: str) -> None:
    command(product, "config", "set-default", category, key, value)


def test_the_next_upload_after_switching_normalization_on_is_normalized(
    normalizing: Tenant, tenant: Tenant, tmp_path: Path
) -> None:
    audio = tone(3, rate=44_100, channels=2, frequency_hertz=1000)
    media_id = tenant.create()
    answer = curl_upload(tenant, media_id, audio, tmp_path)
    assert answer["data"]["content_type"] == "audio/mpeg"
    served = tenant.download(media_id)
    assert served is not None
    measured = measure(served, "mp3")
    assert measured.sample_rate_hertz == 8000
    assert measured.duration_s == pytest.approx(3, abs=0.2)
    assert measured.frequency_hertz == pytest.approx(1000, rel=0.02)
    assert tenant.download(media_id, accept="audio/x-wav") == audio
    assert b"".join(tenant.receive(media_id)) == served


def test_without_the_program_the_upload_succeeds_and_says_so(
    normalizing: Tenant, tenant: Tenant, tmp_path: Path
) -> None:
    missing = str(tmp_path / "sox")
    configure(normalizing.product, "media", "normalize_executable", missing)
    try:
        media_id = tenant.create()
        document = curl_upload(tenant, media_id, _AUDIO, tmp_path)["data"]
    finally:
        configure(normalizing.product, "media", "normalize_executable", "sox")
    assert document["normalization_error"].startswith("failed to communicate with conversion")
    assert tenant.download(media_id) == _AUDIO
    again = tenant.upload(media_id, _AUDIO)
    assert "normalization_error" not in again


@pytest.fixture
def by_sox(normalizing: Tenant) -> Iterator[None]:
    configure(normalizing.product, "media", "normalize_backend", "sox")
    yield
    configure(normalizing.product, "media", "normalize_backend", "auto")


@pytest.mark.usefixtures("by_sox")
def test_a_killed_sox_costs_its_upload_the_normalized_audio_only(tenant: Tenant) -> None:
    audio = wav(2_000_000, seed=2)
    rest_id, grpc_id = tenant.create(), tenant.create()
    rest = RestUpload(tenant, rest_id, len(audio))
    rest.send(audio[:1_000_000])
    wait_until(lambda: len(converters(tenant.product)) == 1, "the converter of the first runs")
    [victim] = converters(tenant.product)
    unharmed = GrpcUpload(tenant, grpc_id)
    unharmed.send(audio)
    wait_until(lambda: len(converters(tenant.product)) == 2, "the converter of the second runs")
    victim.kill()
    rest.send(audio[1_000_000:])
    document = rest.finish().json()["data"]
    assert document["normalization_error"].startswith("failed to communicate with conversion")
    assert tenant.download(rest_id) == audio
    media = unharmed.finish().media
    assert media.content_type == "audio/mpeg"
    assert not media.HasField("normalization_error")


def converters(product: Product) -> list[psutil.Process]:
    """Return the running sox processes."""
    children = [
        each for worker in product.workers().values() for each in worker.children(recursive=True)
    ]
    return [each for each in children if each.name() == "sox"]


def curl_upload(
    tenant: Tenant, media_id: str, audio: bytes, folder: Path, *options: str
) -> dict[str, Any]:
    """Upload as the documentation shows it and return the envelope."""
    file = folder / "audio.wav"
    file.write_bytes(audio)
    url = f"{tenant.product.rest_url}{tenant.path(media_id, raw=True)}"
    curl = ["curl", "--silent", "--fail-with-body", "--max-time", "30", "--request", "POST"]
    for header in (f"X-Auth-Token: {tenant.token}", "Content-Type: audio/x-wav"):
        curl += ["--header", header]
    curl += ["--data-binary", f"@{file}", *options, url]
    run = subprocess.run(curl, capture_output=True, check=True)
    return dict(json.loads(run.stdout))
