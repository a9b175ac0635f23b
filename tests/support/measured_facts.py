"""The facts that are measured after an upload, so that only a later read may show them."""

from __future__ import annotations

from typing import Any

from kazoo_media.v1.media_pb2 import Media

_FACTS = ("loudness_lufs", "peak_dbfs", "clipped_samples")


def unmeasured(media: Media) -> Media:
    """Return a typed document without these facts."""
    result = Media()
    result.CopyFrom(media)
    for rendition in result.renditions:
        rendition.ClearField("loudness_lufs")
        rendition.ClearField("peak_dbfs")
        rendition.ClearField("clipped_samples")
    return result


def unmeasured_document(document: dict[str, Any]) -> dict[str, Any]:
    """Return a Kazoo document without these facts."""
    return {
        key: unmeasured_document(value) if isinstance(value, dict) else value
        for key, value in document.items()
        if key not in _FACTS
    }
