"""The product on a disk that is full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from kazoo_media.v1 import media_service_pb2 as media_pb
from tests.contract.upload_promises import wav
from tests.e2e.clients import GrpcUpload, Tenant
from tests.rpc.service import refusal_of
from tests.support.confined_product import ConfinedProduct, fill, may_mount

pytestmark = pytest.mark.e2e


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not permitted here")
def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    small, kept = wav(1_000_000, seed=1), wav(3_000_000, seed=2)
    with ConfinedProduct(tmp_path, 24) as product, Tenant.log_in(product) as admin:
        doomed = [admin.with_audio(wav(1000, seed=number)) for number in range(4)]
        media_id = admin.with_audio(kept)
        before = admin.document(media_id)
        larger_than_the_disk = wav(30_000_000, seed=3)
        expect_full(admin, media_id, larger_than_the_disk)
        forget_waveforms(product)
        filler = product.data_dir / "filler"
        fill(filler)
        expect_full(admin, media_id, small)
        assert admin.document(media_id) == before
        assert admin.download(media_id) == kept
        fill(product.data_dir / "filler2")
        expect_reads_and_deletions(admin, media_id, doomed)
        (product.data_dir / "filler2").unlink()
        filler.unlink()
        assert admin.document(media_id) == before
        admin.upload(media_id, small)
        assert admin.download(media_id) == small


def expect_full(admin: Tenant, media_id: str, audio: bytes) -> None:
    """Check that an upload is refused on both surfaces because there is no space."""
    headers = {"content-type": "audio/wav"}
    answer = admin.http.post(admin.path(media_id, raw=True), content=audio, headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (507, "insufficient_storage")
    upload = GrpcUpload(admin, media_id)
    upload.send(audio)
    with pytest.raises(grpc.RpcError) as refused:
        upload.finish()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refusal_of(refused.value).info.reason == "STORAGE_FULL"


def forget_waveforms(product: ConfinedProduct) -> None:
    """Make the next request for a waveform measure the audio again."""
    program = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
        " db.execute('delete from peaks'); db.commit()"
    )
    # SQLite resolves links, so it finds the database only where that disk is mounted.
    entering = product.inside(sys.executable, "-c", program)
    subprocess.run([*entering, product.mount_point / "metadata.sqlite"], check=True)


def expect_reads_and_deletions(admin: Tenant, media_id: str, doomed: list[str]) -> None:
    """Check that waveforms are answered and media deleted, on both surfaces."""
    peaks = admin.http.get(f"{admin.path(media_id)}/peaks?buckets=5")
    assert peaks.status_code == 200, peaks.text
    rpc_peaks = admin.stub.GetPeaks(
        media_pb.GetPeaksRequest(account_id=admin.account_id, media_id=media_id, bucket_count=5),
        metadata=admin.metadata,
    )
    assert list(rpc_peaks.data) == peaks.json()["data"] != []
    for number, doomed_id in enumerate(doomed):
        if number % 2:
            answer = admin.http.delete(admin.path(doomed_id))
            assert answer.status_code == 200, answer.text
        else:
            request = media_pb.DeleteMediaRequest(
                account_id=admin.account_id, media_id=doomed_id, hard=number == 0
            )
            admin.stub.DeleteMedia(request, metadata=admin.metadata)
        assert admin.http.get(admin.path(doomed_id)).status_code == 404
