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
        asked_name: File name that the client asked for, "" for the media's name or id with an
            extension.
    """
    name = _UNSAFE.sub("_", asked_name or _own_name(media, rendition))[:_NAME_LIMIT]
    ascii_name = "".join(character if character.isascii() else "_" for character in name)
    kind = "inline" if inline else "attachment"
    value = f'{kind}; filename="{ascii_name}"'
    return value if name == ascii_name else f"{value}; filename*=UTF-8''{quote(name, safe='')}"


def _own_name(media: Media, rendition: Rendition) -> str:
    name = str(media.document.get("name") or media.id)
    extension = extension_of(rendition.content_type)
    if extension is None or name.lower().endswith(f".{extension}"):
        return name
    return f"{name[: _NAME_LIMIT - len(extension) - 1]}.{extension}"
