"""Transfers that are cut, slow, stalled or huge: nothing is lost, nobody else notices."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kazoo_media.v1 import media_service_pb2 as media_pb
from tests.contract.upload_promises import wav
from tests.e2e.clients import (
    HANG_S,
    GrpcUpload,
    PeakMemory,
    Relay,
    RestDownload,
    RestUpload,
    Tenant,
    pending_blobs,
    wait_until_settled,
)
from tests.support.product import Product, wait_until

pytestmark = pytest.mark.e2e

_UPLOADS = 12
_MIB = 2**20
_BLOCK = bytes(range(256)) * 4096  # 1 MiB
_HUGE_BYTES = 128 * _MIB
_MOST_GROWTH_MIB = 64
_SLOW = 20
_SLOW_BYTES_PER_S = 20_000


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    with (
        Product(tmp_path_factory.mktemp("transfers"), workers="1") as product,
        Tenant.log_in(product) as tenant,
    ):
        yield tenant


@pytest.fixture
def tenant(admin: Tenant) -> Iterator[Tenant]:
    with admin.new_tenant() as tenant:
        yield tenant


def with_length(tenant: Tenant, media_id: str, audio: bytes) -> Callable[[], None]:
    upload = RestUpload(tenant, media_id, len(audio))
    upload.send(audio[: len(audio) // 2])
    return upload.cut


def chunked(tenant: Tenant, media_id: str, audio: bytes) -> Callable[[], None]:
    upload = RestUpload(tenant, media_id, None)
    upload.send(audio[: len(audio) // 2])
    return upload.cut


def cancelled_call(tenant: Tenant, media_id: str, audio: bytes) -> Callable[[], None]:
    upload = GrpcUpload(tenant, media_id)
    upload.send(audio[: len(audio) // 2])
    return upload.cut


def killed_connection(tenant: Tenant, media_id: str, audio: bytes) -> Callable[[], None]:
    relay = Relay(tenant.product.grpc_target)
    relayed = ExitStack()
    upload = GrpcUpload(relayed.enter_context(relay.tenant_of(tenant)), media_id)
    upload.send(audio[: len(audio) // 2])

    def cut() -> None:
        relay.cut()
        upload.cut()
        relayed.close()

    return cut


@pytest.mark.parametrize("begin", [with_length, chunked, cancelled_call, killed_connection])
def test_uploads_that_are_cut_half_way_change_nothing(
    tenant: Tenant, begin: Callable[[Tenant, str, bytes], Callable[[], None]]
) -> None:
    kept = wav(30_000, seed=1)
    empty = [tenant.create() for _ in range(_UPLOADS // 2)]
    full = [tenant.with_audio(kept) for _ in range(_UPLOADS - len(empty))]
    before = {media_id: tenant.document(media_id) for media_id in (*empty, *full)}
    pending = pending_blobs(tenant.product)
    cuts = [begin(tenant, media_id, wav(400_000, seed=2)) for media_id in before]
    wait_until(
        lambda: pending_blobs(tenant.product) == pending + _UPLOADS, "every upload has begun"
    )
    for cut in cuts:
        cut()
    wait_until_settled(tenant.product)
    assert {media_id: tenant.document(media_id) for media_id in before} == before
    assert [tenant.download(media_id) for media_id in empty] == [None] * len(empty)
    assert [tenant.download(media_id) for media_id in full] == [kept] * len(full)


def huge() -> Iterator[bytes]:
    """Yield a WAV of 128 MiB."""
    yield wav(44)[:4] + (_HUGE_BYTES - 8).to_bytes(4, "little") + wav(44)[8:40]
    yield (_HUGE_BYTES - 44).to_bytes(4, "little")
    yield _BLOCK[44:]
    for _ in range(_HUGE_BYTES // _MIB - 1):
        yield _BLOCK


def upload_over_rest(tenant: Tenant, media_id: str) -> None:
    upload = RestUpload(tenant, media_id, _HUGE_BYTES)
    for block in huge():
        upload.send(block)
    assert upload.finish().status == 200


def upload_over_grpc(tenant: Tenant, media_id: str) -> None:
    digest = hashlib.sha256()

    def messages() -> Iterator[media_pb.UploadContentRequest]:
        header = media_pb.UploadContentRequest.Header(
            account_id=tenant.account_id, media_id=media_id
        )
        yield media_pb.UploadContentRequest(header=header)
        for block in huge():
            digest.update(block)
            yield media_pb.UploadContentRequest(data=block)
        finish = media_pb.UploadContentRequest.Finish(
            size_bytes=_HUGE_BYTES, sha256=digest.hexdigest()
        )
        yield media_pb.UploadContentRequest(finish=finish)

    tenant.stub.UploadContent(messages(), metadata=tenant.metadata)


def download_over_rest(tenant: Tenant, media_id: str) -> Iterator[bytes]:
    with tenant.http.stream("GET", tenant.path(media_id, raw=True)) as answer:
        yield from answer.iter_raw(_MIB)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("upload", "download"),
    [(upload_over_rest, download_over_rest), (upload_over_grpc, Tenant.receive)],
    ids=["rest", "grpc"],
)
def test_a_huge_file_takes_no_more_memory_than_a_small_one(
    tmp_path: Path,
    upload: Callable[[Tenant, str], None],
    download: Callable[[Tenant, str], Iterator[bytes]],
) -> None:
    sent, received = hashlib.sha256(), hashlib.sha256()
    for block in huge():
        sent.update(block)
    with Product(tmp_path) as product, Tenant.log_in(product) as admin:
        admin.set_default("crossbar", "max_upload_size", str(_HUGE_BYTES))
        media_id = admin.create()
        with PeakMemory(product) as memory:
            upload(admin, media_id)
            for block in download(admin, media_id):
                received.update(block)
    shutil.rmtree(tmp_path)  # pytest would keep it for a while
    assert received.hexdigest() == sent.hexdigest()
    assert memory.growth_mib.keys() == {"worker 0", "envoy"}
    assert max(memory.growth_mib.values()) < _MOST_GROWTH_MIB, memory.growth_mib


class Trickle:
    """Uploads that go on at 20 kB/s each, driven by one thread, until they are hurried."""

    def __init__(self, tenant: Tenant, audio: bytes) -> None:
        self._audio = audio
        self._hurried = threading.Event()
        self._uploads = [RestUpload(tenant, tenant.create(), len(audio)) for _ in range(_SLOW)]
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def finish(self) -> list[int]:
        """Send what is left at once and return the statuses."""
        self._hurried.set()
        self._thread.join()
        return [upload.finish().status for upload in self._uploads]

    def _send(self) -> None:
        sent, piece = 0, _SLOW_BYTES_PER_S // 10
        while not self._hurried.wait(0.1) and sent < len(self._audio) // 2:
            for upload in self._uploads:
                upload.send(self._audio[sent : sent + piece])
            sent += piece
        self._hurried.wait(HANG_S)
        for upload in self._uploads:
            upload.send(self._audio[sent:])


@contextmanager
def normalization(admin: Tenant) -> Iterator[None]:
    admin.set_default("crossbar.media", "normalize_media", "true")
    yield
    admin.set_default("crossbar.media", "normalize_media", "false")


def test_slow_uploads_do_not_slow_a_fast_one(tenant: Tenant, admin: Tenant) -> None:
    audio = wav(600_000, seed=3)  # half a minute at 20 kB/s
    with normalization(admin):
        slow = Trickle(tenant, audio)
        wait_until(lambda: pending_blobs(tenant.product) == 2 * _SLOW, "all slow uploads run")
        for _ in range(5):
            document = tenant.upload(tenant.create(), wav(40_000))
            assert document["content_type"] == "audio/mpeg"
            assert pending_blobs(tenant.product) == 2 * _SLOW, "a slow upload has ended"
        assert slow.finish() == [200] * _SLOW


@pytest.fixture
def large(tenant: Tenant) -> tuple[str, bytes]:
    """Return a media whose audio fills every buffer on its way, and the audio."""
    audio = wav(44) + _BLOCK * 32
    return tenant.with_audio(audio), audio


def test_stalled_rest_downloads_freeze_nobody(tenant: Tenant, large: tuple[str, bytes]) -> None:
    stalled = [RestDownload(tenant, large[0]) for _ in range(2)]
    for download in stalled:
        download.read(1000)
    expect_others_served(tenant, large)
    for download in stalled:  # they were only slow: nothing is lost
        assert download.read() == large[1][1000:]
        download.close()


def test_stalled_grpc_downloads_freeze_nobody(tenant: Tenant, large: tuple[str, bytes]) -> None:
    stalled = [tenant.receive(large[0]) for _ in range(2)]
    begun = [next(download) for download in stalled]
    expect_others_served(tenant, large)
    for first, download in zip(begun, stalled, strict=True):
        assert first + b"".join(download) == large[1]


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_stalled_uploads_freeze_nobody(tenant: Tenant, large: tuple[str, bytes], kind: str) -> None:
    media_ids = [tenant.create() for _ in range(2)]
    audio = wav(3_000_000, seed=4)
    stalled: list[RestUpload | GrpcUpload] = [
        RestUpload(tenant, each, len(audio)) if kind == "rest" else GrpcUpload(tenant, each)
        for each in media_ids
    ]
    for upload in stalled:
        upload.send(audio[:2_000_000])
    wait_until(lambda: pending_blobs(tenant.product) == 2, "both uploads have begun")
    expect_others_served(tenant, large)
    for upload in stalled:
        upload.send(audio[2_000_000:])
        upload.finish()
    assert [tenant.download(each) for each in media_ids] == [audio] * 2


def expect_others_served(tenant: Tenant, large: tuple[str, bytes]) -> None:
    for _ in range(50):
        tenant.document(large[0])
    assert tenant.download(large[0]) == large[1]
    small = wav(40_000, seed=5)
    assert tenant.download(tenant.with_audio(small)) == small
