"""The product keeps its audio in a bucket."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import obstore
import pytest
from blockbuster import BlockBuster

from tests.contract.upload_promises import wav
from tests.e2e.clients import Tenant
from tests.e2e.refused import start
from tests.e2e.shell import QuickShell
from tests.support.bad_network import BadNetwork
from tests.support.product import Product
from tests.support.s3_server import BUCKET, S3Server

pytestmark = pytest.mark.e2e

_SMALL, _LARGE = wav(50_000, seed=1), wav(20_000_000, seed=2)


def objects_of(s3: S3Server, prefix: str) -> dict[str, int]:
    """Return names and sizes of what lies below a prefix."""
    store = s3.place(prefix).connect()
    return {each["path"]: each["size"] for batch in obstore.list(store) for each in batch}


def test_audio_is_in_the_bucket_alone(
    tmp_path: Path, s3: S3Server, blocking_calls_fail: BlockBuster
) -> None:
    prefix = uuid4().hex
    target = urlsplit(s3.endpoint).netloc
    network = BadNetwork(target, seed=1, mean_bytes=1)
    network.calm()
    url = f"s3://{BUCKET}/{prefix}?endpoint=http://{network.target}"
    with network:
        with Product(tmp_path, blob_url=url) as product, Tenant.log_in(product) as admin:
            small, large = admin.with_audio(_SMALL), admin.with_audio(_LARGE)
            replaced = admin.with_audio(wav(7_000_000, seed=3))
            admin.upload(replaced, _SMALL)
            assert admin.download(large) == _LARGE
            assert admin.download(small) == admin.download(replaced) == _SMALL
            part = admin.http.get(
                admin.path(large, raw=True), headers={"range": "bytes=9000000-9000099"}
            )
            assert (part.status_code, part.content) == (206, _LARGE[9_000_000:9_000_100])
            expect_redirect(admin, small, large)
            tail = admin.http.get(admin.path(large, raw=True), headers={"range": "bytes=-10"})
            assert tail.content == _LARGE[-10:]
        assert not (tmp_path / "data" / "blobs").exists()
        stored = objects_of(s3, prefix)
        assert len(stored) == 5  # four contents and the mark of the cluster
        assert len(_LARGE) in stored.values()
        shell = QuickShell(tmp_path / "data", tmp_path, blocking_calls_fail)
        shell.ok("fsck", "--digests", KAZOO_MEDIA_BLOB_URL=url)
        line = start(tmp_path / "other", "serve", blob_url=url).stderr
        assert line.startswith(f"kazoo-media serve: KAZOO_MEDIA_BLOB_URL={url}: it belongs to")
        assert len(line.splitlines()) == 1
    with Product(tmp_path, blob_url=url) as product, Tenant.log_in(product) as admin:
        assert "the bucket does not answer" in product.log()
        expect_cached_only(admin, small, large)
    lost = next(name for name, size in stored.items() if size == len(_LARGE))
    obstore.delete(s3.place(prefix).connect(), lost)
    direct = url.replace(network.target, target)
    code, out, _ = shell.run("fsck", KAZOO_MEDIA_BLOB_URL=direct)
    assert code == 1
    assert "missing" in out
    assert lost.removeprefix("blobs/") in out


def expect_redirect(admin: Tenant, small: str, large: str) -> None:
    """Check that large audio comes from the bucket itself where a setting says so."""
    admin.set_default("blobs", "redirect_s", "60")
    answer = admin.http.get(admin.path(large, raw=True))
    assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
    found = httpx.get(answer.headers["location"])
    assert (found.content, found.headers["content-type"]) == (_LARGE, "audio/wav")
    assert found.headers["content-disposition"].startswith("attachment")
    forged = answer.headers["location"].replace("audio%2Fwav", "text%2Fhtml")
    assert httpx.get(forged).status_code == 403
    head = admin.http.head(admin.path(large, raw=True))
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(_LARGE)))
    assert admin.download(small) == _SMALL
    admin.set_default("blobs", "redirect_s", "0")


def expect_cached_only(admin: Tenant, small: str, large: str) -> None:
    """Check what is left while the bucket does not answer."""
    assert admin.download(small) == _SMALL
    answer = admin.http.get(admin.path(large, raw=True))
    assert (answer.status_code, answer.json()["message"]) == (503, "datastore_unreachable")
    assert "damaged" not in admin.document(large)
    media_id = admin.create()
    headers = {"content-type": "audio/wav"}
    answer = admin.http.post(admin.path(media_id, raw=True), content=_LARGE, headers=headers)
    assert answer.status_code == 503
    assert admin.download(media_id) is None
