"""The product on a disk that is full."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from typing_extensions import override

from tests.contract.upload_promises import wav
from tests.e2e.clients import GrpcUpload, Tenant
from tests.rpc.service import refusal_of
from tests.support.product import Product

pytestmark = pytest.mark.e2e


def may_mount() -> bool:
    """Tell whether a test may have a disk of its own."""
    attempt = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /tmp"]
    return shutil.which("unshare") is not None and not subprocess.call(
        attempt, stderr=subprocess.DEVNULL
    )


class ConfinedProduct(Product):
    """The product with its folder on a disk of its own, of 24 MiB, that only its processes see."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._mount_point = self.data_dir
        self._mount_point.mkdir()

    @override
    def command(self) -> list[str]:
        script = 'mount -t tmpfs -o size=24m,mode=700 tmpfs "$0" && exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, str(self._mount_point), *super().command()]

    @override
    def launch(self) -> None:
        super().launch()
        # Where that disk is for those who do not see it.
        self.data_dir = Path(f"/proc/{self.process.pid}/root{self._mount_point}")


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not permitted here")
def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    small, kept = wav(1_000_000, seed=1), wav(3_000_000, seed=2)
    with ConfinedProduct(tmp_path) as product, Tenant.log_in(product) as admin:
        media_id = admin.with_audio(kept)
        before = admin.document(media_id)
        larger_than_the_disk = wav(30_000_000, seed=3)
        expect_full(admin, media_id, larger_than_the_disk)
        filler = product.data_dir / "filler"
        fill(filler)
        expect_full(admin, media_id, small)
        assert admin.document(media_id) == before
        assert admin.download(media_id) == kept
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


def fill(path: Path) -> None:
    """Write a file that leaves no space."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
