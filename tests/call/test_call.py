"""A real call, recorded while the service comes and goes. `make test-call`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, AnyStr

import numpy as np
import pytest
from numpy.typing import NDArray

from kazoo_media.v1 import upload_service_pb2 as pb
from kazoo_media.v1.upload_service_pb2_grpc import UploadServiceStub
from tests.call.sip_recorder import OWN_HERTZ, RATE_HERTZ
from tests.e2e.clients import Tenant
from tests.e2e.shell import Shell
from tests.support.audio_samples import encoded, measure, tone
from tests.support.product import Product, wait_until

pytestmark = pytest.mark.e2e

_SCENARIO = Path(__file__).with_name("caller.xml")
_CALLER_HERTZ = 440
_LONGEST_CALL_S = 170
_SECOND_BYTES = RATE_HERTZ * 2 * 2
_PAUSE_S = 3


class _Upload:
    """The upload of the call, as somebody else than its recorder sees it."""

    def __init__(self, tenant: Tenant) -> None:
        self._stub: Any = UploadServiceStub(tenant.channel)
        self._metadata = tenant.metadata
        self._account_id = tenant.account_id

    @property
    def persisted_size(self) -> int:
        request = pb.ListUploadsRequest(account_id=self._account_id)
        uploads = self._call(self._stub.ListUploads, request).uploads
        return sum(each.persisted_size for each in uploads)

    def wait_for(self, seconds: float) -> None:
        """Return when so much more audio is durable."""
        size = self.persisted_size + seconds * _SECOND_BYTES
        wait_until(lambda: self.persisted_size >= size, f"{seconds} s more are durable")

    def pause(self) -> None:
        request = pb.PauseUploadRequest(account_id=self._account_id, upload_id="call")
        self._call(self._stub.PauseUpload, request)

    def resume(self) -> None:
        request = pb.ResumeUploadRequest(account_id=self._account_id, upload_id="call")
        self._call(self._stub.ResumeUpload, request)

    def _call(self, method: Any, request: Any) -> Any:
        return method(request, metadata=self._metadata, wait_for_ready=True, timeout=30)


@pytest.mark.timeout(180)
def test_a_call_is_recorded_whole_while_the_service_is_restarted(tmp_path: Path) -> None:
    audio = encoded(tone(_LONGEST_CALL_S, frequency_hertz=_CALLER_HERTZ), "ul")
    (tmp_path / "tone.ul").write_bytes(audio)
    heard = tmp_path / "heard.wav"
    with (
        Product(tmp_path, workers="2") as product,
        Tenant.log_in(product) as tenant,
        ExitStack() as started,
    ):
        upload = _Upload(tenant)
        recorder = started.enter_context(_recorder(product, tmp_path))
        assert recorder.stdin is not None
        assert recorder.stdout is not None
        address = recorder.stdout.readline().strip()
        caller = started.enter_context(_caller(address, tmp_path))
        assert recorder.stdout.readline() == "connected\n"
        upload.wait_for(2)
        tail = started.enter_context(_tail(Shell(product.data_dir, tmp_path), heard))
        upload.pause()
        time.sleep(_PAUSE_S)
        upload.resume()
        upload.wait_for(2)
        for stop in (product.stop, product.kill):
            stop()
            product.start()
            upload.wait_for(2)
        size = upload.persisted_size
        wait_until(lambda: heard.stat().st_size > size, "the tail has come back")
        playing = heard.read_bytes()
        assert measure(playing).channel_count == 2
        _check_tones(_samples(playing)[-RATE_HERTZ:])
        recorder.stdin.close()
        ended = json.loads(recorder.stdout.readline())
        assert [each.wait(30) for each in (caller, recorder, tail)] == [0, 0, 0]
        recorded = _listed_recording(tenant, ended)
    written = np.frombuffer((tmp_path / "written").read_bytes(), "<i2").reshape(-1, 2)
    samples = _samples(recorded)
    assert samples.shape == written.shape
    assert np.array_equal(_samples(heard.read_bytes()), samples)
    masked = np.flatnonzero((samples != written).any(axis=1))
    begin, end = masked[0], masked[-1] + 1
    assert not samples[begin:end].any()
    assert _PAUSE_S * RATE_HERTZ <= end - begin <= (_PAUSE_S + 2) * RATE_HERTZ
    _check_tones(samples[end:])


@contextmanager
def _recorder(product: Product, folder: Path) -> Iterator[subprocess.Popen[str]]:
    access = [product.grpc_target, product.api_key, product.account_id]
    command = [sys.executable, "-m", "tests.call.sip_recorder", *access, "call", str(folder)]
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, text=True) as recorder:
        yield from _ended(recorder)


@contextmanager
def _caller(address: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = ["sipp", "-sf", str(_SCENARIO), address, "-nostdin", "-m", "1"]
    command += ["-i", "127.0.0.1", "-mi", "127.0.0.1", "-timeout", f"{_LONGEST_CALL_S}s"]
    with (
        (folder / "sipp.log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, stdout=log) as caller,
    ):
        yield from _ended(caller)


@contextmanager
def _tail(shell: Shell, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "kazoo_media", "tail", "call"]
    with (
        path.open("wb") as output,
        subprocess.Popen(command, env=shell.environment, stdout=output) as tail,
    ):
        yield from _ended(tail)


def _ended(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """Yield a process, and kill it if it still runs afterwards."""
    try:
        yield process
    finally:
        process.kill()


def _listed_recording(tenant: Tenant, ended: dict[str, Any]) -> bytes:
    """Return the audio of the call after checking that Kazoo's list has it, and how."""
    path = f"/v2/accounts/{tenant.account_id}/recordings"
    [listed] = tenant.http.get(path).json()["data"]
    assert listed["id"] == ended["media_id"]
    assert listed["call_id"] == ended["call_id"]
    document = tenant.http.get(f"{path}/{listed['id']}").json()["data"]
    assert abs(document["duration_ms"] - ended["duration_ms"]) <= 100
    answer = tenant.http.get(f"{path}/{listed['id']}", headers={"accept": "audio/x-wav"})
    found = measure(answer.content)
    assert (found.channel_count, found.sample_rate_hertz) == (2, RATE_HERTZ)
    return answer.content


def _samples(wav: bytes) -> NDArray[np.int16]:
    audio = wav.partition(b"data")[2][4:]
    return np.frombuffer(audio[: len(audio) // 4 * 4], "<i2").reshape(-1, 2)


def _check_tones(samples: NDArray[np.int16]) -> None:
    """Check that each channel has its own tone and none of the other's."""
    window = np.hanning(len(samples))[:, None]
    spectrum = np.abs(np.fft.rfft(samples * window, axis=0))
    hertz_a_bin = RATE_HERTZ / len(samples)
    for channel, (own, other) in enumerate(
        [(_CALLER_HERTZ, OWN_HERTZ), (OWN_HERTZ, _CALLER_HERTZ)]
    ):
        strongest = spectrum[:, channel].argmax() * hertz_a_bin
        assert strongest == pytest.approx(own, abs=2)
        at = round(other / hertz_a_bin)
        assert spectrum[at - 3 : at + 4, channel].max() < spectrum[:, channel].max() / 100
