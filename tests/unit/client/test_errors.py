from __future__ import annotations

import grpc
import grpc.aio
import pytest

from kazoo_media.client import MediaServiceError


@pytest.mark.parametrize("details", [b"\xff\xff", b"", None], ids=["garbled", "empty", "none"])
def test_an_error_without_readable_details_keeps_code_and_text(details: bytes | None) -> None:
    trailing = grpc.aio.Metadata()
    if details is not None:
        trailing.add("grpc-status-details-bin", details)
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), trailing, details="proxy trouble"
    )
    found = MediaServiceError.of(error)
    assert (found.code, found.reason, str(found)) == (
        grpc.StatusCode.INTERNAL,
        "",
        "proxy trouble",
    )
