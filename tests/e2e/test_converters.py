"""The converter processes of the built product: killed at the worst time, and gone with it."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.e2e.clients import GrpcUpload, RestUpload, Tenant, pending_blobs
from tests.gateway.wire import Answer
from tests.support.audio_samples import measure, tone
from tests.support.processes import converters, zygotes
from tests.support.product import Product, is_alive, wait_until

pytestmark = pytest.mark.e2e

_AUDIO = tone(3.0, rate=16_000)


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    folder = tmp_path_factory.mktemp("converters")
    with Product(folder, workers="1") as product, Tenant.log_in(product) as tenant:
        tenant.set_default("crossbar.media", "normalize_media", "true")
        yield tenant


def _choose(tenant: Tenant, backend: str, preset: str = "telephony") -> bytes:
    """Set who converts to what; return audio for it."""
    tenant.set_default("media", "normalize_backend", backend)
    tenant.set_default("media", "normalize_preset", preset)
    return _AUDIO


def _worker(tenant: Tenant) -> psutil.Process:
    return tenant.product.workers()[0]


def _begin(
    tenant: Tenant, count: int, audio: bytes = _AUDIO
) -> list[tuple[str, RestUpload | GrpcUpload]]:
    """Return uploads by both surfaces that have sent half of their audio to a converter each."""
    before = pending_blobs(tenant.product)
    begun: list[tuple[str, RestUpload | GrpcUpload]] = []
    for number in range(count):
        media_id = tenant.create()
        upload = (
            GrpcUpload(tenant, media_id) if number % 2 else RestUpload(tenant, media_id, len(audio))
        )
        upload.send(audio[: len(audio) // 2])
        begun.append((media_id, upload))
    wait_until(lambda: pending_blobs(tenant.product) == before + 2 * count, "all run")
    wait_until(lambda: len(converters(_worker(tenant))) >= count, "each has its converter")
    return begun


def _finish(
    tenant: Tenant, media_id: str, upload: RestUpload | GrpcUpload, audio: bytes = _AUDIO
) -> str | None:
    """Complete an upload, which succeeds; return its `normalization_error`."""
    upload.send(audio[len(audio) // 2 :])
    answer = upload.finish()
    assert not isinstance(answer, Answer) or answer.status == 200
    document = tenant.document(media_id)
    error = document.get("normalization_error")
    served = tenant.download(media_id)
    assert tenant.download(media_id, "audio/x-wav") == audio
    if error is None:
        assert measure(served or b"", "mp3").duration_s == pytest.approx(3.0, abs=0.2)
    else:
        assert served == audio
    return error


@pytest.mark.parametrize("backend", ["auto", "inprocess"])
def test_uploads_whose_converters_are_killed_are_converted_by_others(
    tenant: Tenant, backend: str
) -> None:
    audio = _choose(tenant, backend, "telephony")
    begun = _begin(tenant, 6, audio)

    for each in converters(_worker(tenant)):
        each.kill()

    assert [_finish(tenant, *each, audio) for each in begun] == [None] * 6
    assert tenant.document(tenant.with_audio(audio))["content_type"] == "audio/mpeg"


def test_kazoo_s_command_is_run_whatever_the_setting_says(tenant: Tenant) -> None:
    audio = _choose(tenant, "inprocess", "kazoo")

    media_id = tenant.with_audio(audio)

    command = ["sox", "-t", "wav", "-", "-r", "8000", "-t", "mp3", "-"]
    expected = subprocess.run(command, input=audio, capture_output=True, check=True).stdout
    assert tenant.download(media_id) == expected


def test_what_sox_converts_is_described_when_those_that_measure_are_killed(
    tenant: Tenant,
) -> None:
    _choose(tenant, "sox")
    expected = tenant.document(tenant.with_audio(_AUDIO))["renditions"]
    for each in expected.values():
        assert each["loudness_lufs"] == pytest.approx(-12.9, abs=0.4)

    media_ids = [tenant.with_audio(_AUDIO) for _ in range(6)]
    for each in converters(_worker(tenant)):
        each.kill()

    assert [tenant.document(each)["renditions"] for each in media_ids] == [expected] * 6


def test_one_killed_converter_costs_the_others_nothing(tenant: Tenant) -> None:
    _choose(tenant, "inprocess")
    begun = _begin(tenant, 6)

    converters(_worker(tenant))[-1].kill()

    assert [_finish(tenant, *each) for each in begun] == [None] * 6


def test_converters_that_are_killed_all_the_time_break_no_upload(tenant: Tenant) -> None:
    _choose(tenant, "auto")
    stopped = threading.Event()

    def kill() -> None:
        while not stopped.wait(0.05):
            for each in [*converters(_worker(tenant)), *zygotes(_worker(tenant))]:
                each.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with ThreadPoolExecutor(6) as clients:
            media_ids = list(clients.map(lambda _: tenant.with_audio(_AUDIO), range(24)))
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
    tenant.with_audio(_choose(tenant, "auto"))
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
    assert not [each for each in (tenant.product.data_dir / "tmp").rglob("*") if each.is_file()]


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_converters_end_with_their_worker(tenant: Tenant, end: str) -> None:
    tenant.with_audio(_choose(tenant, "auto"))
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
    wait_until(lambda: tenant.http.get(tenant.path()).status_code == 200, "a worker serves")


def test_sox_runs_in_a_sandbox_where_it_works(tenant: Tenant) -> None:
    warned = [each for each in tenant.product.log_lines() if "sandbox" in str(each.get("event"))]
    _choose(tenant, "sox")
    upload = RestUpload(tenant, tenant.create(), len(_AUDIO))
    upload.send(_AUDIO[: len(_AUDIO) // 2])
    wait_until(lambda: "sox" in _names(tenant), "sox runs")
    assert ("nsenter" in _names(tenant)) == (not warned)
    tenant.product.kill_worker()
    wait_until(lambda: not _names(tenant) & {"sox", "nsenter"}, "nothing of it is left")
    wait_until(lambda: 0 in tenant.product.workers(), "the worker runs again")


def test_without_bubblewrap_one_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("openssl", "envoy"):
        if path := shutil.which(name):
            (tmp_path / name).symlink_to(path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with Product(tmp_path, workers="2") as product, Tenant.log_in(product) as tenant:
        warned = [each for each in product.log_lines() if "sandbox" in str(each.get("event"))]
        assert [each["level"] for each in warned] == ["warning"]
        assert str(warned[0]["reason"]).endswith("is not installed")
        tenant.set_default("crossbar.media", "normalize_media", "true")
        _choose(tenant, "sox")
        assert tenant.document(tenant.with_audio(_AUDIO))["content_type"] == "audio/mpeg"


def _names(tenant: Tenant) -> set[str]:
    """Return the names of the processes of a service."""
    found = set()
    for each in psutil.Process(tenant.product.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found.add(each.name())
    return found
