"""Content-Disposition: under which name audio is saved. Source: RFC 6266, RFC 8187."""

from __future__ import annotations

import re
from urllib.parse import quote

from kazoo_media.audio.formats import extension_of
from kazoo_media.model import Media, Rendition

_NAME_LIMIT = 200
_UNSAFE = re.compile(r'[\x00-\x1f\x7f"\\/]')


def content_disposition(
    media: Media, rendition: Rendition, asked_name: str, *, inline: bool
) -> str:
    """Return the header's value.

    Args:
        asked_name: File name that the client asks for, "" for that of the upload, or the media's.
    """
    chosen = asked_name or str(media.document.get("attachment_name", ""))
    named = chosen or str(media.document.get("name") or media.id)
    name = _UNSAFE.sub("_", _with_extension(named, rendition, own="." in chosen))
    ascii_name = "".join(character if character.isascii() else "_" for character in name)
    kind = "inline" if inline else "attachment"
    value = f'{kind}; filename="{ascii_name}"'
    return value if name == ascii_name else f"{value}; filename*=UTF-8''{quote(name, safe='')}"


def _with_extension(name: str, rendition: Rendition, *, own: bool) -> str:
    """Return the name with the rendition's extension, unless it has that or its own."""
    extension = extension_of(rendition.content_type)
    if own or extension is None or name.lower().endswith(f".{extension}"):
        return name[:_NAME_LIMIT]
    return f"{name[: _NAME_LIMIT - len(extension) - 1]}.{extension}"
