"""Conditional and partial requests: If-Match, If-None-Match, If-Range, Range, Content-Range.

Source: RFC 9110, 13 and 14.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from werkzeug.http import parse_etags, parse_range_header

from kazoo_media.errors import (
    PreconditionFailedError,
    RangeNotSatisfiableError,
    ValidationError,
    Violation,
)
from kazoo_media.media.downloads import ByteRange
from kazoo_media.model import Media

_LAST_NONE = re.compile(r"bytes\s*=\s*-\s*0+", re.IGNORECASE)
"""The last 0 bytes: well-formed and not satisfiable. Werkzeug treats it as malformed."""


def is_unchanged(headers: Mapping[str, str], tag: str) -> bool:
    """Return whether If-None-Match names the tag; weak tags count."""
    sent = headers.get("if-none-match")
    return bool(sent) and _names(sent or "", {tag}, weak=True)


def check_match(headers: Mapping[str, str], media: Media) -> None:
    """Check If-Match.

    Raises:
        PreconditionFailedError: it does not hold.
    """
    sent = headers.get("if-match")
    if sent and not _names(sent, _current(media), weak=False):
        raise PreconditionFailedError(expected=sent, actual=media.revision)


def check_conditions(headers: Mapping[str, str], media: Media) -> None:
    """Check If-Match and If-None-Match of a request that changes a media.

    Raises:
        PreconditionFailedError: one does not hold.
    """
    check_match(headers, media)
    sent = headers.get("if-none-match")
    if sent and _names(sent, _current(media), weak=True):
        raise PreconditionFailedError(expected=f"anything but {sent}", actual=media.revision)


def is_conditional(headers: Mapping[str, str]) -> bool:
    """Return whether a change depends on the stored state."""
    return bool(headers.get("if-match") or headers.get("if-none-match"))


def pinned_revision(headers: Mapping[str, str], media: Media) -> str:
    """Return the revision that a change must find once its conditions hold, "" for any."""
    sent = headers.get("if-match", "")
    return media.revision if sent and not _names(sent, set(), weak=False) else ""


def _current(media: Media) -> set[str]:
    """Return the current tags of a media: its revision and those of its audio."""
    renditions = () if media.content is None else media.content.renditions
    return {media.revision, *(entity_tag(each.sha256) for each in renditions)}


def entity_tag(sha256: str) -> str:
    """Return the entity tag of audio, without quotes."""
    return sha256[:32]


def check_whole(content_range: str) -> None:
    """Check that a body is not a part of something larger.

    Args:
        content_range: The header Content-Range; "": there is none.

    Raises:
        ValidationError: it is there, even if it names the whole.

    Source: RFC 9110, 14.5.
    """
    if content_range:
        text = f"parts ({content_range[:100]}) cannot be uploaded: send the whole"
        raise ValidationError([Violation("content-range", "invalid", text, {})])


def requested_range(
    headers: Mapping[str, str], size_bytes: int, tag: str, last_modified: str
) -> ByteRange | None:
    """Return the requested part, or None for the whole.

    The whole is sent if there is no range, several or a malformed one, or a stale If-Range.

    Raises:
        RangeNotSatisfiableError: it starts after the last byte.
    """
    sent = headers.get("range", "").strip()
    if not sent or not _if_range_holds(headers.get("if-range"), tag, last_modified):
        return None
    if _LAST_NONE.fullmatch(sent):
        raise RangeNotSatisfiableError(size_bytes=size_bytes)
    found = parse_range_header(sent)
    if found is None or found.units != "bytes" or len(found.ranges) != 1:
        return None
    [(first, end)] = found.ranges
    return ByteRange.within(size_bytes, first, None if end is None else end - first)


def _if_range_holds(sent: str | None, tag: str, last_modified: str) -> bool:
    return sent is None or sent.strip() in {f'"{tag}"', last_modified}


def _names(sent: str, tags: AbstractSet[str], *, weak: bool) -> bool:
    """Return whether a list of entity tags names one of these; `*` anywhere in it names any."""
    listed = parse_etags(sent)
    named = listed.as_set(include_weak=weak)
    return listed.star_tag or "*" in named or not named.isdisjoint(tags)
