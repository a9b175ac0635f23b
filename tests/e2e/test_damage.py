"""Audio that the disk has damaged is not served by the product, and is served again when right."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import grpc
import httpx
import pytest
from blockbuster import BlockBuster

from kazoo_media.v1 import media_service_pb2 as media_pb
from kazoo_media.v1.media_pb2 import Media
from tests.contract.upload_promises import wav
from tests.e2e.clients import Tenant, blob_files
from tests.e2e.shell import QuickShell
from tests.rpc.service import refusal_of
from tests.support.product import Product, free_port, wait_until

pytestmark = pytest.mark.e2e

_SMALL, _LARGE = wav(50_000, seed=1), wav(3_000_000, seed=2)


def damage(path: Path) -> None:
    """Change one byte in the middle of a file."""
    audio = bytearray(path.read_bytes())
    audio[len(audio) // 2] ^= 1
    path.write_bytes(audio)


def expect_damaged(admin: Tenant, media_id: str) -> None:
    """Check that the audio is refused on both surfaces and the document says why."""
    path = admin.path(media_id, raw=True)
    for headers in ({}, {"range": "bytes=10-19"}):
        answer = admin.http.get(path, headers=headers)
        assert (answer.status_code, answer.json()["message"]) == (500, "content_damaged")
        assert "upload it again" in answer.json()["data"]["message"]
    assert admin.http.head(path).status_code == 500
    with pytest.raises(grpc.RpcError) as refused:
        list(admin.receive(media_id))
    assert refused.value.code() is grpc.StatusCode.DATA_LOSS
    assert refusal_of(refused.value).info.reason == "CONTENT_DAMAGED"
    document = admin.document(media_id)
    assert document["damaged"] is document["renditions"]["original"]["damaged"] is True
    media = rpc_media(admin, media_id)
    assert media.damaged
    assert [each.damaged for each in media.renditions] == [True]
    found = admin.http.get(f"{admin.path()}?filter_damaged=true").json()["data"]
    assert [each["id"] for each in found] == [media_id]


def expect_whole(admin: Tenant, media_id: str, audio: bytes) -> None:
    """Check that the audio is served and nothing says that it was damaged."""
    assert admin.download(media_id) == audio
    document = admin.document(media_id)
    assert "damaged" not in document
    assert "damaged" not in document["renditions"]["original"]
    assert not rpc_media(admin, media_id).damaged


def rpc_media(admin: Tenant, media_id: str) -> Media:
    """Return a media as gRPC describes it."""
    request = media_pb.GetMediaRequest(account_id=admin.account_id, media_id=media_id)
    return admin.stub.GetMedia(request, metadata=admin.metadata).media


def test_damaged_small_audio_is_refused_at_the_first_read(tmp_path: Path) -> None:
    port = free_port()
    with Product(tmp_path, metrics_port=str(port)) as product, Tenant.log_in(product) as admin:
        media_id = admin.with_audio(_SMALL)
        [path] = blob_files(product.data_dir)
        damage(path)
        expect_damaged(admin, media_id)
        [line] = [each for each in product.log_lines() if each["event"] == "damaged audio found"]
        assert line["media_id"] == media_id
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
        assert "kazoo_media_damaged_blobs_total 1.0" in metrics.splitlines()
        path.write_bytes(_SMALL)
        expect_whole(admin, media_id, _SMALL)


def test_damaged_large_audio_is_found_by_the_scrub_and_refused(
    tmp_path: Path, blocking_calls_fail: BlockBuster
) -> None:
    product = Product(tmp_path)
    shell = QuickShell(product.data_dir, tmp_path, blocking_calls_fail)
    with product, Tenant.log_in(product) as admin:
        media_id = admin.with_audio(_LARGE)
    [path] = blob_files(product.data_dir)
    damage(path)
    with closing(sqlite3.connect(product.data_dir / "metadata.sqlite")) as database, database:
        database.execute("update blob set checked = 0")
    with product, Tenant.log_in(product) as admin:
        wait_until(lambda: "damaged" in admin.document(media_id), "the scrub has found the damage")
        expect_damaged(admin, media_id)
        code, out, _ = shell.run("fsck")
        assert code == 1
        assert "wrong digest" in out
        assert media_id in out
        admin.upload(media_id, _LARGE)
        expect_whole(admin, media_id, _LARGE)
    shell.ok("fsck", "--digests")
