"""The document of a prompt, as Kazoo's own import writes it."""

from __future__ import annotations

from kazoo_media.client import Media, RenditionKind

SOURCE_TYPE = "kazoo_media_maintenance"
"""The value that Kazoo's own import writes."""

DOCUMENT_FIELDS = ("name", "description", "language", "prompt_id", "source_type", "streamable")
"""The fields that `prompt_document` sets."""

_DESCRIPTION_LIMIT = 128  # characters; a long name alone must not fail an import


def prompt_document(language: str, prompt_id: str) -> Media:
    """Return the document of a prompt.

    Args:
        language: In lower case.
    """
    media_id = f"{language}/{prompt_id}"
    return Media(
        id=media_id,
        name=media_id,
        description=f"System prompt in {language} for {prompt_id}"[:_DESCRIPTION_LIMIT],
        language=language,
        prompt_id=prompt_id,
        source_type=SOURCE_TYPE,
        streamable=True,
    )


def audio_bytes(media: Media) -> int:
    """Return the size of a media's original."""
    original = RenditionKind.RENDITION_KIND_ORIGINAL
    return sum(each.size_bytes for each in media.renditions if each.kind == original)
