"""Conditional and partial requests: If-Match, If-None-Match, If-Range, Range. Source: RFC 9110, 13
and 14.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kazoo_media.errors import PreconditionFailedError, RangeNotSatisfiableError
from kazoo_media.media.downloads import ByteRange
from kazoo_media.model import Media

_TAG = re.compile(r'(W/)?"([^"]*)"|([^\s",]+)')
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE | re.ASCII)
_FARTHEST = 10**18


def is_unchanged(headers: Mapping[str, str], tag: str) -> bool:
    """Tell whether If-None-Match names the tag; weak tags count."""
    sent = headers.get("if-none-match")
    return bool(sent) and not {"*", tag}.isdisjoint(_tags(sent or "", weak=True))


def check_match(headers: Mapping[str, str], media: Media) -> None:
    """Check If-Match.

    Raises:
        PreconditionFailedError: it does not hold.
    """
    sent = headers.get("if-match")
    if sent and (_current(media) | {"*"}).isdisjoint(_tags(sent, weak=False)):
        raise PreconditionFailedError(sent, media.revision)


def check_conditions(headers: Mapping[str, str], media: Media) -> None:
    """Check If-Match and If-None-Match of a request that changes a media.

    Raises:
        PreconditionFailedError: one does not hold.
    """
    check_match(headers, media)
    sent = headers.get("if-none-match")
    if sent and not (_current(media) | {"*"}).isdisjoint(_tags(sent, weak=True)):
        raise PreconditionFailedError(f"anything but {sent}", media.revision)


def is_conditional(headers: Mapping[str, str]) -> bool:
    """Tell whether a change depends on what is there."""
    return bool(headers.get("if-match") or headers.get("if-none-match"))


def pinned_revision(headers: Mapping[str, str], media: Media) -> str:
    """Return the revision that a change with good conditions must find, "" for whichever there
    is.
    """
    sent = headers.get("if-match", "")
    return media.revision if sent and "*" not in _tags(sent, weak=False) else ""


def _current(media: Media) -> set[str]:
    """Return the tags that name a media: its revision, and its audio."""
    renditions = () if media.content is None else media.content.renditions
    return {media.revision, *(entity_tag(each.sha256) for each in renditions)}


def entity_tag(sha256: str) -> str:
    """Return the entity tag of audio, without quotes."""
    return sha256[:32]


def asked_range(
    headers: Mapping[str, str], size_bytes: int, tag: str, last_modified: str
) -> ByteRange | None:
    """Return the part that is asked for; None is the whole: no, several or malformed ranges, or
    stale If-Range.

    Raises:
        RangeNotSatisfiableError: it starts behind the last byte.
    """
    found = _RANGE.fullmatch(headers.get("range", ""))
    if found is None or not _if_range_holds(headers.get("if-range"), tag, last_modified):
        return None
    first, last = (_number(text) for text in found.groups())
    if first is None:
        if last is None:
            return None
        if last == 0:
            raise RangeNotSatisfiableError(size_bytes)
        return ByteRange.within(size_bytes, -last, None)
    if last is None:
        return ByteRange.within(size_bytes, first, None)
    return ByteRange.within(size_bytes, first, last - first + 1) if last >= first else None


def _if_range_holds(sent: str | None, tag: str, last_modified: str) -> bool:
    return sent is None or sent.strip() in {f'"{tag}"', last_modified}


def _tags(text: str, *, weak: bool) -> set[str]:
    """Return the entity tags of a header without quotes; `*`, and what has no quotes, as it is."""
    return {quoted or bare for mark, quoted, bare in _TAG.findall(text) if weak or not mark}


def _number(text: str) -> int | None:
    digits = text.lstrip("0") or text[:1]
    if not digits:
        return None
    return int(digits) if len(digits) < 18 else _FARTHEST
