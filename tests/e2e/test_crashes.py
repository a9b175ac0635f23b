"""Processes that die or are told to stop in the middle of everything; a disk that is full."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import signal
import stat
import subprocess
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from typing_extensions import override

from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.upkeep.fsck import check
from kazoo_media.upkeep.sweeper import Sweeper
from kazoo_media.v1 import media_service_pb2 as media_pb
from tests.contract.upload_promises import wav
from tests.e2e.clients import (
    HANG_S,
    GrpcUpload,
    RestDownload,
    RestUpload,
    Tenant,
    pending_blobs,
)
from tests.support.product import Product, is_alive, wait_until

pytestmark = pytest.mark.e2e

_KILLS = 4
_PAUSE_S = 0.05
"""Between the requests of a client, so that workers have processors to start again."""
_BLOCK = bytes(range(256)) * 4096  # 1 MiB


class Client(threading.Thread):
    """A client that sends one request after the other until it is stopped.

    Attributes:
        failed: How many requests failed.
    """

    def __init__(self, product: Product) -> None:
        super().__init__()
        self.failed = 0
        self._stopped = threading.Event()
        self._stack = ExitStack()
        self._tenant = self._stack.enter_context(Tenant.log_in(product))
        self.start()

    def stop(self) -> None:
        """Return when the last request has ended."""
        self._stopped.set()
        self.join()

    @override
    def run(self) -> None:
        with self._stack:
            while not self._stopped.wait(_PAUSE_S):
                try:
                    self._send(self._tenant)
                except (AssertionError, OSError, httpx.TransportError, grpc.RpcError):
                    self.failed += 1

    @abstractmethod
    def _send(self, tenant: Tenant) -> None:
        """Send a request and note the answer."""


class Uploader(Client):
    """Adds media with audio.

    Attributes:
        acknowledged: Digest of the audio by media id, of uploads that were answered with success.
    """

    def __init__(self, product: Product, seed: int, *, over_grpc: bool) -> None:
        self.acknowledged: dict[str, str] = {}
        self._random = random.Random(seed)
        self._upload = self._grpc if over_grpc else self._rest
        super().__init__(product)

    @override
    def _send(self, tenant: Tenant) -> None:
        size_bytes = self._random.choice((2_000, 60_000, 1_500_000))
        audio = wav(size_bytes, seed=self._random.getrandbits(32))
        self.acknowledged[self._upload(tenant, audio)] = hashlib.sha256(audio).hexdigest()

    def _rest(self, tenant: Tenant, audio: bytes) -> str:
        return tenant.with_audio(audio)

    def _grpc(self, tenant: Tenant, audio: bytes) -> str:
        media_id = tenant.create()
        upload = GrpcUpload(tenant, media_id)
        upload.send(audio)
        upload.finish()
        return media_id


class Reader(Client):
    """Reads one document.

    Attributes:
        answered: How many times it got it.
    """

    def __init__(self, product: Product, media_id: str) -> None:
        self.answered = 0
        self._media_id = media_id
        super().__init__(product)

    @override
    def _send(self, tenant: Tenant) -> None:
        tenant.document(self._media_id)
        self.answered += 1


@pytest.mark.timeout(150)
def test_killed_workers_lose_nothing_acknowledged_and_tear_nothing(tmp_path: Path) -> None:
    with Product(tmp_path, workers="2") as product, Tenant.log_in(product) as admin:
        clients = [Uploader(product, seed, over_grpc=seed % 2 == 1) for seed in range(3)]
        reader = Reader(product, admin.create())
        try:
            for number in range(_KILLS):
                kill_one_of_two(product, number % 2)
        finally:
            for client in clients:
                client.stop()
            reader.stop()
        wait_until(lambda: len(product.workers()) == 2, "both workers run again")
        stored = expect_whole(admin)
        for client in clients:
            assert client.acknowledged, "it has uploaded nothing"
            assert client.failed <= _KILLS, "more failed than what was in flight"
            assert client.acknowledged.items() <= stored.items()
        assert reader.answered
        assert reader.failed == 0, "a request that only reads is retried"
    asyncio.run(expect_clean(product.data_dir))


def kill_one_of_two(product: Product, index: int) -> None:
    """Kill a worker while both serve and uploads run."""
    wait_until(lambda: all_listen(product, 2), "both workers serve")
    time.sleep(random.uniform(0.3, 0.8))  # Envoy finds that out; then it is any moment
    wait_until(lambda: pending_blobs(product) > 0, "an upload runs")
    killed = product.kill_worker(index)
    wait_until(lambda: killed not in (each.pid for each in product.workers().values()), "it died")


def all_listen(product: Product, workers: int) -> bool:
    running = product.workers().values()
    with suppress(psutil.Error):
        return len(running) == workers and all(
            any("worker-" in str(each.laddr) for each in worker.net_connections("unix"))
            for worker in running
        )
    return False


def expect_whole(tenant: Tenant) -> dict[str, str]:
    """Check that all content is complete and return its digests by media id."""
    request = media_pb.ListMediaRequest(account_id=tenant.account_id, page_size=1000)
    digests = {}
    while True:
        page = tenant.stub.ListMedia(request, metadata=tenant.metadata)
        for media in page.media:
            for rendition in media.renditions:
                digests[media.id] = digest_of(tenant.download(media.id))
                assert digests[media.id] == rendition.sha256
        if not page.next_page_token:
            return digests
        request.page_token = page.next_page_token


def digest_of(audio: bytes | None) -> str:
    return hashlib.sha256(audio or b"").hexdigest()


async def expect_clean(data_dir: Path) -> None:
    """Check that after a sweep rows and files are the same, byte for byte."""
    metadata = await SqliteMetadataStore.open(data_dir / "metadata.sqlite", shared=False)
    blobs = LocalBlobStore(data_dir / "blobs")
    sweeper = Sweeper(
        metadata,
        blobs,
        pending_grace_ms=0,
        dead_grace_ms=0,
        clock=itertools.count(10**13).__next__,
    )
    await sweeper.sweep()
    await sweeper.sweep()  # what expired in the first is due in the second
    report = await check(metadata, blobs, read_digests=True, progress=lambda _: None)
    await blobs.aclose()
    await metadata.aclose()
    assert report.findings == ()
    assert report.live_count == report.file_count == report.row_count


def test_a_killed_supervisor_takes_all_with_it_and_leaves_a_folder_that_serves_again(
    tmp_path: Path,
) -> None:
    audio = wav(300_000, seed=1)
    with Product(tmp_path, workers="2") as product, Tenant.log_in(product) as admin:
        supervisor = psutil.Process(product.process.pid)
        assert len(supervisor.children()) == 3
        processes = supervisor.children(recursive=True)
        kept, torn = admin.with_audio(audio), admin.create()
        upload = RestUpload(admin, torn, len(audio))
        upload.send(audio[:-1])
        wait_until(lambda: pending_blobs(product) > 0, "the upload has begun")
        product.kill()
        wait_until(lambda: not any(map(is_alive, processes)), "no process is left")
    runtime = product.data_dir / "run"
    assert (runtime / "worker-1.sock").exists()
    with Product(tmp_path) as again, Tenant.log_in(again) as admin:
        assert {path.name for path in runtime.glob("*.sock")} == {"admin.sock", "worker-0.sock"}
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
        assert admin.download(kept) == audio
        assert admin.download(torn) is None
        admin.upload(torn, audio)
        assert admin.download(torn) == audio
    assert not runtime.exists()
    asyncio.run(expect_clean(again.data_dir))


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Give a product whose only worker may be killed."""
    with Product(tmp_path_factory.mktemp("killed")) as running:
        yield running


def test_a_killed_envoy_costs_only_what_was_in_flight(product: Product) -> None:
    audio = wav(300_000, seed=1)
    with Tenant.log_in(product) as admin:
        [worker] = product.workers().values()
        kept, torn = admin.with_audio(audio), admin.create()
        upload = RestUpload(admin, torn, len(audio))
        upload.send(audio[:-1])
        wait_until(lambda: pending_blobs(product) > 0, "the upload has begun")
        product.envoy().kill()
        with pytest.raises((OSError, IndexError)):
            upload.finish()
        wait_until(lambda: pending_blobs(product) == 0, "the upload was given up")
        wait_until(lambda: serves(product), "it serves again")
        assert product.workers()[0].pid == worker.pid
        assert (admin.download(kept), admin.download(torn)) == (audio, None)


LARGE = wav(44) + _BLOCK * 32
"""It fills every buffer on its way."""


@pytest.fixture(scope="module")
def kept(product: Product) -> str:
    """Return the id of a media with `LARGE`."""
    wait_until(lambda: serves(product), "it serves")
    with Tenant.log_in(product) as admin:
        return admin.with_audio(LARGE)


@pytest.fixture
def large(product: Product, kept: str) -> Iterator[tuple[Tenant, str]]:
    """Give a media with `LARGE` while the service runs."""
    wait_until(lambda: serves(product), "it serves")
    with Tenant.log_in(product) as admin:
        yield admin, kept


def test_a_download_whose_worker_dies_is_a_broken_transfer(
    product: Product, large: tuple[Tenant, str]
) -> None:
    admin, media_id = large
    download = RestDownload(admin, media_id)
    received = download.read(1000)
    product.kill_worker()
    received += download.read()
    assert len(received) < download.length == len(LARGE)
    assert LARGE.startswith(received)
    wait_until(lambda: admin.http.get(admin.path(media_id)).status_code == 200, "it serves again")
    assert admin.download(media_id) == LARGE


def test_curl_fails_when_the_worker_dies(
    product: Product, large: tuple[Tenant, str], tmp_path: Path
) -> None:
    admin, media_id = large
    url = f"{product.rest_url}{admin.path(media_id, raw=True)}"
    saved = tmp_path / "saved"
    command = ["curl", "--silent", "--fail", "--limit-rate", "4M", "--output", str(saved)]
    command += ["--header", f"X-Auth-Token: {admin.token}", url]
    with subprocess.Popen(command) as curl:
        wait_until(lambda: saved.exists() and saved.stat().st_size > 0, "curl has begun")
        product.kill_worker()
        assert curl.wait(HANG_S) in {18, 56}  # partial file, failure in receiving


def test_a_grpc_download_whose_worker_dies_ends_with_a_status(
    product: Product, large: tuple[Tenant, str]
) -> None:
    admin, media_id = large
    download = admin.receive(media_id)
    next(download)
    product.kill_worker()
    with pytest.raises(grpc.RpcError) as broken:
        list(download)
    # Envoy resets the stream; what gRPC calls that depends on the moment.
    assert broken.value.code() in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE}


def test_a_stop_lets_running_transfers_finish_and_takes_no_new_ones(tmp_path: Path) -> None:
    audio = wav(300_000, seed=1)
    with Product(tmp_path) as product, Tenant.log_in(product) as admin:
        processes = psutil.Process(product.process.pid).children(recursive=True)
        large, media_id = admin.with_audio(LARGE), admin.create()
        download = RestDownload(admin, large)
        first = download.read(1000)
        upload, call = RestUpload(admin, media_id, len(audio)), GrpcUpload(admin, admin.create())
        upload.send(audio[:-1])
        call.send(audio)
        wait_until(lambda: pending_blobs(product) == 2, "both uploads have begun")
        product.process.send_signal(signal.SIGTERM)
        wait_until(lambda: '"draining"' in product.log(), "it drains")
        wait_until(lambda: refuses_newcomers(product), "it takes no new requests")
        upload.send(audio[-1:])
        assert upload.finish().json()["data"]["content_length"] == len(audio)
        assert call.finish().media.content_length == len(audio)
        assert first + download.read() == LARGE
        assert product.process.wait(HANG_S) == 0
        before = product.bootstrap
    assert not any(map(is_alive, processes))
    assert not (product.data_dir / "run").exists()
    with Product(tmp_path) as again, Tenant.log_in(again) as admin:
        assert (again.account_id, again.api_key) == (before.account_id, before.api_key)
        assert again.rest_url != before.rest_url
        assert admin.download(media_id) == audio


def refuses_newcomers(product: Product) -> bool:
    """Tell whether a new connection is refused, or its request answered with 503."""
    try:
        return httpx.get(f"{product.rest_url}/v2/media").status_code == 503
    except httpx.TransportError:
        return True


def serves(product: Product) -> bool:
    """Return whether a worker answers; `/healthz` only tells so once a health check has failed."""
    try:
        return httpx.get(f"{product.rest_url}/v2/accounts/self/media").status_code == 401
    except httpx.TransportError:
        return False
