"""Recordings that were made over another surface."""

from __future__ import annotations

import secrets

from kazoo_media.access.accounts import WriteScope
from kazoo_media.recordings.raw_audio import RawAudio, RawEncoding
from kazoo_media.recordings.spec import Ending, UploadSpec
from tests.gateway.rest.rig import Rest, Tenant


def record(rest: Rest, tenant: Tenant, audio: bytes = bytes(16_000), **document: object) -> str:
    """Record mono LINEAR16 of 8 kHz and return the id of the recording."""
    raw = RawAudio(RawEncoding.LINEAR16, 8000, 1)
    spec = UploadSpec(document={"name": "Call", **document}, raw=raw)
    return rest.run(_recorded(rest, tenant, audio, spec))


def record_as(rest: Rest, tenant: Tenant, audio: bytes, media_id: str) -> str:
    """Record a container under an id and return the id."""
    spec = UploadSpec(document={"name": "Call"}, media_id=media_id)
    return rest.run(_recorded(rest, tenant, audio, spec))


async def _recorded(rest: Rest, tenant: Tenant, audio: bytes, spec: UploadSpec) -> str:
    upload_id = f"call-{secrets.token_hex(8)}"
    stream = await rest.core.recordings.open(WriteScope(tenant.id), upload_id, spec)
    try:
        await stream.append(0, audio)
        outcome = await rest.core.recordings.finish(stream, Ending(size_bytes=len(audio)))
    finally:
        stream.close()
    assert outcome.media is not None
    return outcome.media.id
