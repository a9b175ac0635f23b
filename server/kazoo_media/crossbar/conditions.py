"""Conditional and partial requests: entity tags, dates and ranges.

Source: RFC 9110, 13 and 14.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache

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


_DATE_FORMATS = (
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y",
)
"""Of RFC 1123, RFC 850 and asctime. Source: RFC 9110, 5.6.7."""

_DATE_CHARACTERS = 64


def is_unchanged(headers: Mapping[str, str], tag: str, modified_ms: int | None = None) -> bool:
    """Return whether a reader has the current state already.

    It has if If-None-Match names the tag, where weak tags count. Without If-None-Match it has if
    nothing was changed after If-Modified-Since.

    Args:
        modified_ms: Unix time of the last change in milliseconds; None: no date is sent.
    """
    if sent := headers.get("if-none-match"):
        return _names(sent, {tag}, weak=True)
    since_s = _date_s(headers.get("if-modified-since"))
    return since_s is not None and modified_ms is not None and modified_ms // 1000 <= since_s


def last_modified(media: Media) -> str:
    """Return the header Last-Modified of a document and its audio."""
    return _http_date(media.modified_ms // 1000)


def check_match(headers: Mapping[str, str], media: Media) -> None:
    """Check If-Match or, without it, If-Unmodified-Since.

    Raises:
        PreconditionFailedError: it does not hold.
    """
    if sent := headers.get("if-match"):
        if not _names(sent, _current(media), weak=False):
            raise PreconditionFailedError(expected=sent, actual=media.revision)
        return
    sent = headers.get("if-unmodified-since", "")
    since_s = _date_s(sent)
    if since_s is not None and media.modified_ms // 1000 > since_s:
        raise PreconditionFailedError(expected=f"unmodified since {sent}", actual=media.revision)


def check_conditions(headers: Mapping[str, str], media: Media) -> None:
    """Check If-Match, If-Unmodified-Since and If-None-Match of a request that changes a media.

    Raises:
        PreconditionFailedError: one does not hold.
    """
    check_match(headers, media)
    sent = headers.get("if-none-match")
    if sent and _names(sent, _current(media), weak=True):
        raise PreconditionFailedError(expected=f"anything but {sent}", actual=media.revision)


def is_conditional(headers: Mapping[str, str]) -> bool:
    """Return whether a change depends on the stored state."""
    names = ("if-match", "if-unmodified-since", "if-none-match")
    return any(headers.get(name) for name in names)


def pinned_revision(headers: Mapping[str, str], media: Media) -> str:
    """Return the revision that a change must find once its conditions hold, "" for any."""
    if sent := headers.get("if-match"):
        return "" if _names(sent, set(), weak=False) else media.revision
    return "" if _date_s(headers.get("if-unmodified-since")) is None else media.revision


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
    headers: Mapping[str, str], size_bytes: int, tag: str, modified: str
) -> ByteRange | None:
    """Return the requested part, or None for the whole.

    The whole is sent if there is no range, several or a malformed one, or a stale If-Range.

    Raises:
        RangeNotSatisfiableError: it starts after the last byte.
    """
    sent = headers.get("range", "").strip()
    if not sent or not _if_range_holds(headers.get("if-range"), tag, modified):
        return None
    if _LAST_NONE.fullmatch(sent):
        raise RangeNotSatisfiableError(size_bytes=size_bytes)
    found = parse_range_header(sent)
    if found is None or found.units != "bytes" or len(found.ranges) != 1:
        return None
    [(first, end)] = found.ranges
    return ByteRange.within(size_bytes, first, None if end is None else end - first)


@lru_cache(maxsize=1024)
def _http_date(unix_s: int) -> str:
    return formatdate(unix_s, usegmt=True)


def _date_s(sent: str | None) -> float | None:
    """Return the Unix time of a date in a header; None if it is not one: it has no effect then."""
    if not sent or len(sent) > _DATE_CHARACTERS:
        return None
    for date_format in _DATE_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(sent, date_format).replace(tzinfo=UTC).timestamp()
    return None


def _if_range_holds(sent: str | None, tag: str, modified: str) -> bool:
    return sent is None or sent.strip() in {f'"{tag}"', modified}


def _names(sent: str, tags: AbstractSet[str], *, weak: bool) -> bool:
    """Return whether a list of entity tags names one of these; `*` anywhere in it names any."""
    listed = parse_etags(sent)
    named = listed.as_set(include_weak=weak)
    return listed.star_tag or "*" in named or not named.isdisjoint(tags)
