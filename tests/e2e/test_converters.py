"""The converter processes of the built product: killed at the worst time, and gone with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.audio_samples import measure, tone
from tests.e2e.clients import GrpcUpload, RestUpload, Tenant, pending_blobs
from tests.gateway.wire import Answer
from tests.processes import converters, zygotes
from tests.product import Product, is_alive, wait_until

pytestmark = pytest.mark.e2e

_AUDIO = tone(3.0, rate=16_000)
_HALF = len(_AUDIO) // 2
_FAILED = "failed to communicate with conversion utility: "


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    folder = tmp_path_factory.mktemp("converters")
    with Product(folder, workers="1") as product, Tenant.log_in(product) as tenant:
        tenant.set_default("crossbar.media", "normalize_media", "true")
        tenant.set_default("media", "normalize_preset", "telephony")
        yield tenant


def _worker(tenant: Tenant) -> psutil.Process:
    return tenant.product.workers()[0]


def _begin(tenant: Tenant, count: int) -> list[tuple[str, RestUpload | GrpcUpload]]:
    """Return uploads by both surfaces that have sent half of their audio to a converter each."""
    before = pending_blobs(tenant.product)
    begun: list[tuple[str, RestUpload | GrpcUpload]] = []
    for number in range(count):
        media_id = tenant.create()
        upload = (
            GrpcUpload(tenant, media_id)
            if number % 2
            else RestUpload(tenant, media_id, len(_AUDIO))
        )
        upload.send(_AUDIO[:_HALF])
        begun.append((media_id, upload))
    wait_until(lambda: pending_blobs(tenant.product) == before + 2 * count, "all run")
    wait_until(lambda: len(converters(_worker(tenant))) >= count, "each has its converter")
    return begun


def _finish(tenant: Tenant, media_id: str, upload: RestUpload | GrpcUpload) -> str | None:
    """Complete an upload, which succeeds; return its `normalization_error`."""
    upload.send(_AUDIO[_HALF:])
    answer = upload.finish()
    assert not isinstance(answer, Answer) or answer.status == 200
    document = tenant.document(media_id)
    error = document.get("normalization_error")
    served = tenant.download(media_id)
    assert tenant.download(media_id, "audio/x-wav") == _AUDIO
    if error is None:
        assert measure(served or b"", "mp3").duration_s == pytest.approx(3.0, abs=0.2)
    else:
        assert served == _AUDIO
    return error


@pytest.mark.parametrize(("backend", "start"), [("auto", "None"), ("inprocess", _FAILED)])
def test_uploads_whose_converters_are_killed_succeed(
    tenant: Tenant, backend: str, start: str
) -> None:
    tenant.set_default("media", "normalize_backend", backend)
    begun = _begin(tenant, 6)

    for each in converters(_worker(tenant)):
        each.kill()

    errors = [str(_finish(tenant, *each)) for each in begun]
    assert [each.startswith(start) for each in errors] == [True] * 6
    assert tenant.document(tenant.with_audio(_AUDIO))["content_type"] == "audio/mpeg"


def test_one_killed_converter_costs_the_others_nothing(tenant: Tenant) -> None:
    tenant.set_default("media", "normalize_backend", "inprocess")
    begun = _begin(tenant, 6)

    converters(_worker(tenant))[-1].kill()

    errors = [_finish(tenant, *each) for each in begun]
    assert sum(each is None for each in errors) == 5


def test_converters_that_are_killed_all_the_time_break_no_upload(tenant: Tenant) -> None:
    tenant.set_default("media", "normalize_backend", "auto")
    stopped = threading.Event()

    def kill() -> None:
        while not stopped.wait(0.05):
            for each in [*converters(_worker(tenant)), *zygotes(_worker(tenant))]:
                each.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with ThreadPoolExecutor(6) as clients:
            media_ids = list(clients.map(lambda _: tenant.with_audio(_AUDIO), range(60)))
    finally:
        stopped.set()
        killer.join()

    for each in media_ids:
        document = tenant.document(each)
        assert (document["content_type"], document.get("normalization_error")) == (
            "audio/mpeg",
            None,
        )
        assert tenant.download(each, "audio/x-wav") == _AUDIO


def test_cancelled_uploads_leave_no_process_no_descriptor_and_no_file(tenant: Tenant) -> None:
    tenant.with_audio(_AUDIO)
    worker = _worker(tenant)
    wait_until(lambda: len(converters(worker)) <= 8, "only a few converters stay")
    before, pending = worker.num_fds() - len(converters(worker)), pending_blobs(tenant.product)

    for _ in range(3):
        for _, upload in _begin(tenant, 10):
            upload.cut()
        wait_until(lambda: pending_blobs(tenant.product) == pending, "all are discarded")

    wait_until(
        lambda: worker.num_fds() - len(converters(worker)) <= before, "no descriptor is left"
    )
    assert len(converters(worker)) <= 8
    assert not list((tenant.product.data_dir / "tmp").iterdir())


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_converters_end_with_their_worker(tenant: Tenant, end: str) -> None:
    tenant.with_audio(_AUDIO)
    worker = _worker(tenant)
    begun = _begin(tenant, 2)
    processes = [*zygotes(worker), *converters(worker)]
    assert len(processes) >= 3

    if end == "crash":
        worker.kill()
    else:
        for _, upload in begun:
            upload.cut()
        tenant.product.stop()
        tenant.product.start()

    wait_until(lambda: not any(map(is_alive, processes)), "all have ended")
    wait_until(lambda: tenant.product.workers() != {}, "a worker runs")
