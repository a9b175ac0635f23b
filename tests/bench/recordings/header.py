"""How the recordings of the benchmark begin."""

from __future__ import annotations

import secrets

from kazoo_media.v1.media_pb2 import Media
from kazoo_media.v1.upload_service_pb2 import (
    AppendUploadRequest,
    RawAudio,
    RawEncoding,
    UploadSpec,
)


def new_header(account_id: str, encoding: RawEncoding.ValueType) -> AppendUploadRequest.Header:
    """Return the header of a new recording of raw mono audio of 8 kHz."""
    raw = RawAudio(encoding=encoding, sample_rate_hertz=8000, channel_count=1)
    return AppendUploadRequest.Header(
        account_id=account_id,
        upload_id=f"bench-{secrets.token_hex(8)}",
        spec=UploadSpec(media=Media(name="bench"), raw=raw),
    )
