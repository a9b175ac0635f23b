"""A bucket is checked before it is used."""

from __future__ import annotations

import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import obstore
import pytest
from obstore.store import S3Store

from kazoo_media.blobs.s3 import S3BlobStore
from kazoo_media.blobs.s3_check import BucketRefusalError, check_abilities, check_owner
from kazoo_media.blobs.s3_client import S3Place
from kazoo_media.blobs.s3_lifecycle import removes_parts
from kazoo_media.blobs.s3_signing import Credentials, Signer
from tests.support.faulty_s3 import faulty_s3
from tests.support.s3_server import CREDENTIALS, S3Server

_CREDENTIALS = Credentials(
    CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], ""
)


@pytest.fixture
def place(s3: S3Server) -> S3Place:
    return s3.place(uuid4().hex)


@pytest.fixture
async def objects(place: S3Place, tmp_path: Path) -> AsyncIterator[S3Store]:
    objects = place.connect()
    yield objects
    await S3BlobStore(objects, tmp_path).aclose()  # its pause


async def _all(objects: S3Store) -> list[str]:
    return [each["path"] async for batch in obstore.list(objects) for each in batch]


async def test_a_bucket_belongs_to_the_first_cluster(objects: S3Store) -> None:
    with pytest.raises(BucketRefusalError, match="belongs to no cluster"):
        await check_owner(objects, "one", claims=False)
    await check_owner(objects, "one", claims=True)
    await check_owner(objects, "one", claims=True)
    await check_owner(objects, "one", claims=False)
    for claims in (False, True):
        with pytest.raises(BucketRefusalError, match="another cluster, one") as refused:
            await check_owner(objects, "two", claims=claims)
        assert not refused.value.may_pass


async def test_a_foreign_marker_is_not_overwritten(objects: S3Store) -> None:
    await obstore.put_async(objects, "cluster.json", b"not ours")
    with pytest.raises(BucketRefusalError, match="not written by kazoo-media"):
        await check_owner(objects, "one", claims=True)


async def test_the_check_of_abilities_leaves_nothing(objects: S3Store) -> None:
    await check_abilities(objects)
    assert await _all(objects) == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("ignores ranges", "cannot read a range: "),
        ("answers any range", "cannot read a range past the end: "),
        ("has no parts", "cannot write an object in parts: NotImplemented"),
        ("swaps parts", "cannot write an object in parts: "),
        ("keeps aborted", "cannot abort an object in parts: it exists"),
        ("keeps deleted", "cannot delete an object: it still exists"),
    ],
)
async def test_a_server_that_lacks_something_is_named_with_it(
    place: S3Place, fault: str, reason: str
) -> None:
    with faulty_s3(fault) as endpoint, pytest.raises(BucketRefusalError) as refused:
        await check_abilities(replace(place, endpoint=endpoint).connect())
    assert str(refused.value).startswith(reason)
    assert "\n" not in str(refused.value)


async def test_a_server_without_a_fault_passes(place: S3Place) -> None:
    with faulty_s3("") as endpoint:
        await check_abilities(replace(place, endpoint=endpoint).connect())


async def test_a_wrong_key_is_named_at_once(
    place: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(BucketRefusalError, match="SignatureDoesNotMatch") as refused:
        await check_owner(place.connect(), "one", claims=True)
    assert not refused.value.may_pass
    assert "wrong" not in str(refused.value)


async def test_a_server_that_does_not_answer_may_be_waited_for(place: S3Place) -> None:
    gone = replace(place, endpoint="http://127.0.0.1:1").connect()
    with pytest.raises(BucketRefusalError, match="Connection refused") as refused:
        await check_owner(gone, "one", claims=True)
    assert refused.value.may_pass


def test_a_bucket_without_a_rule_for_parts_is_noticed(place: S3Place) -> None:
    obstore.put(place.connect(), "x", b"")
    assert not removes_parts(Signer(place.url, place.region, _CREDENTIALS))
    wrong = replace(_CREDENTIALS, secret="wrong")
    with pytest.raises(OSError, match="403"):
        removes_parts(Signer(place.url, place.region, wrong))


@contextmanager
def _answering(body: bytes) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("has_rule", [False, True])
def test_a_rule_for_parts_is_found(place: S3Place, *, has_rule: bool) -> None:
    rule = (
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
        "</AbortIncompleteMultipartUpload>"
    )
    body = f"<LifecycleConfiguration><Rule>{rule if has_rule else ''}</Rule>"
    with _answering(body.encode()) as endpoint:
        url = replace(place, endpoint=endpoint).url
        assert removes_parts(Signer(url, "us-east-1", _CREDENTIALS)) is has_rule
