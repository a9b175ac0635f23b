"""Uploads that end without having ended: on either engine not one is taken for a complete one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.e2e import clients
from tests.e2e.clients import GrpcUpload, RestUpload, pending_blobs, wait_until_settled
from tests.support.audio_samples import tone
from tests.support.product import Product, wait_until
from tests.support.repetitions import repetitions
from tests.support.standalone import BehindEnvoy

pytestmark = pytest.mark.e2e

_COUNT = repetitions(20, 60)
_Begin: TypeAlias = Callable[[clients.Tenant, str], RestUpload | GrpcUpload]


@pytest.fixture(scope="module", params=[Product, BehindEnvoy], ids=["http1", "aio"])
def tenant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[clients.Tenant]:
    folder: Path = tmp_path_factory.mktemp("cut")
    with request.param(folder) as product, clients.Tenant.log_in(product) as found:
        yield found


def _chunked(tenant: clients.Tenant, media_id: str) -> RestUpload:
    return RestUpload(tenant, media_id, None)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("begin", [_chunked, GrpcUpload], ids=["REST", "gRPC"])
def test_no_upload_that_was_cut_after_its_last_byte_is_committed(
    tenant: clients.Tenant, begin: _Begin
) -> None:
    """The promise as a client sees it, on both engines.

    It does not guard the pause of transport/aio/call.py. Without the pause nothing was committed
    either, of 60 uploads cut one after the other and of 60 cut at once over stores in memory: the
    cancellation arrives before the commit. Only a servicer that ends at once sees a cut upload as
    complete: the one in tests/unit/transport/aio/test_server.py.
    """
    audio, other = tone(0.5), tone(0.6, frequency_hertz=600)
    media_id = tenant.with_audio(audio)
    before = tenant.document(media_id)
    for _ in range(_COUNT):
        upload = begin(tenant, media_id)
        upload.send(other)
        wait_until(lambda: pending_blobs(tenant.product) > 0, "the upload runs")
        upload.cut()
        wait_until(lambda: pending_blobs(tenant.product) == 0, "it was discarded")
    wait_until_settled(tenant.product)
    assert tenant.document(media_id) == before
    assert tenant.download(media_id) == audio
