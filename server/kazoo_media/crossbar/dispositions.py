"""Content-Disposition: the file name for downloaded audio. Source: RFC 6266, RFC 8187."""

from __future__ import annotations

import re
from urllib.parse import quote

from kazoo_media.audio.formats import extension_of
from kazoo_media.model import Media, Rendition

_NAME_LIMIT = 200
_UNSAFE = re.compile(r'[\x00-\x1f\x7f"\\/]')


def content_disposition(
    media: Media, rendition: Rendition, requested_name: str, *, inline: bool
) -> str:
    """Return the header's value.

    Args:
        requested_name: File name that the client asks for; "": the name of the uploaded file, or
            else of the media.
    """
    chosen = requested_name or str(media.document.get("attachment_name", ""))
    name = chosen or str(media.document.get("name") or media.id)
    extension = "" if "." in chosen else extension_of(rendition.content_type) or ""
    return disposition("inline" if inline else "attachment", name, extension)


def disposition(kind: str, name: str, extension: str) -> str:
    """Return the header's value for a name, which may contain any character.

    Args:
        kind: `inline` or `attachment`.
        extension: Appended to a name that does not have it, without the dot; "": none.
    """
    safe_name = _UNSAFE.sub("_", _with_extension(name, extension))
    ascii_name = "".join(character if character.isascii() else "_" for character in safe_name)
    value = f'{kind}; filename="{ascii_name}"'
    return (
        value
        if safe_name == ascii_name
        else f"{value}; filename*=UTF-8''{quote(safe_name, safe='')}"
    )


def _with_extension(name: str, extension: str) -> str:
    """Return the name, with the extension appended unless the name ends with it."""
    if not extension or name.lower().endswith(f".{extension}"):
        return name[:_NAME_LIMIT]
    return f"{name[: _NAME_LIMIT - len(extension) - 1]}.{extension}"
