"""Conditional and partial requests: If-Match, If-None-Match, If-Range, Range. Source: RFC 9110, 13
and 14.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kazoo_media.downloads import ByteRange
from kazoo_media.errors import PreconditionFailedError, RangeNotSatisfiableError
from kazoo_media.model import Media

_TAG = re.compile(r'(W/)?"([^"]*)"|([^\s",]+)')
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE | re.ASCII)
_FARTHEST = 10**18


def is_unchanged(headers: Mapping[str, str], tag: str) -> bool:
    """Tell whether If-None-Match names the tag; weak tags count."""
    sent = headers.get("if-none-match")
    return sent is not None and not {"*", tag}.isdisjoint(_tags(sent, weak=True))


def check_match(headers: Mapping[str, str], media: Media) -> None:
    """Check If-Match.

    Raises:
        PreconditionFailedError: it does not hold.
    """
    if not matches(headers, media):
        raise PreconditionFailedError(headers["if-match"], media.revision)


def matches(headers: Mapping[str, str], media: Media) -> bool:
    """Tell whether If-Match, if there is one, names a media's revision, or its audio."""
    sent = headers.get("if-match")
    if not sent:
        return True
    current = {"*", media.revision}
    if media.content is not None:
        current |= {entity_tag(each.sha256) for each in media.content.renditions}
    return not current.isdisjoint(_tags(sent, weak=False))


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
