"""Selects that all drivers share, and the conversion of their rows to the model."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from kazoo_media.metadata.engine import Row
from kazoo_media.model import (
    Account,
    AudioFacts,
    BlobRow,
    BlobState,
    Content,
    Media,
    Rendition,
    RenditionKind,
    Version,
)

_RENDITION = (
    "{0}.content_type, {0}.size, {0}.sha256, {0}.normalization, {0}.damaged, {0}.duration_ms,"
    " {0}.sample_rate_hertz, {0}.channel_count, {0}.codec, {0}.loudness_lufs, {0}.peak_dbfs,"
    " {0}.clipped_samples"
)

SELECT_MEDIA = (
    "select m.account, m.id, m.doc, m.rev, m.created, m.modified, m.recorded, m.file_name,"  # noqa: S608, no outside text
    f" m.original_key, {_RENDITION.format('o')}, m.normalized_key, {_RENDITION.format('n')}"
    " from media m"
    " left join blob o on o.account = m.account and o.key = m.original_key"
    " left join blob n on n.account = m.account and n.key = m.normalized_key"
)
"""One statement, so that the document and both renditions are consistent."""

SELECT_VERSION = (
    "select v.number, v.outcome, v.replaced,"  # noqa: S608, no outside text
    f" v.original_key, {_RENDITION.format('o')}, v.normalized_key, {_RENDITION.format('n')}"
    " from media_version v"
    " left join blob o on o.account = v.account and o.key = v.original_key"
    " left join blob n on n.account = v.account and n.key = v.normalized_key"
)

PAGE_CHARACTERS = 1024 * 1024
LISTED_BYTES = 4096
"""Of a larger document a list reads only LISTED_KEYS: a page must not take 500 times 5 MiB."""
LISTED_KEYS = ("name", "media_source", "language", "prompt_id", "content_type")

SELECT_BLOB = "select account, key, state, touched, size, sha256, damaged from blob"

SELECT_ACCOUNT = (
    "select a.id, a.name, a.ancestors, a.created, a.realm, a.language, a.superduper_admin,"
    " a.key_generation from account a"
)


def media_of(row: Row) -> Media:
    """Return the media of a row of SELECT_MEDIA."""
    return Media(
        row[0],
        row[1],
        orjson.loads(row[2]),
        row[3],
        row[4],
        row[5],
        None if row[8] is None else _content(row[8:]),
        bool(row[6]),
        row[7],
    )


def listed_media(rows: Iterable[Row]) -> list[Media]:
    """Return the media of rows of SELECT_MEDIA, fewer if their documents are long together."""
    found: list[Media] = []
    characters = 0
    for row in rows:
        found.append(media_of(row))
        characters += len(row[2])
        if characters > PAGE_CHARACTERS and len(found) > 1:
            break
    return found


def version_of(row: Row) -> Version:
    """Return the version of a row of SELECT_VERSION."""
    return Version(row[0], _content(row[3:]), orjson.loads(row[1]), row[2])


def _content(row: Row) -> Content:
    """Return the content of two keys, each with the columns of its blob."""
    columns = len(row) // 2
    normalized = None
    if row[columns] is not None:
        normalized = _rendition(RenditionKind.NORMALIZED, row[columns:])
    return Content(_rendition(RenditionKind.ORIGINAL, row[:columns]), normalized)


def _rendition(kind: RenditionKind, row: Row) -> Rendition:
    key, content_type, size, sha256, normalization, damaged, *facts = row
    return Rendition(
        kind,
        key,
        content_type,
        size,
        sha256,
        AudioFacts(*facts),
        # An archived recording has a conversion as its original.
        normalization if kind is RenditionKind.NORMALIZED else None,
        is_damaged=bool(damaged),
    )


def blob_of(row: Row) -> BlobRow:
    """Return the blob of a row of SELECT_BLOB."""
    account_id, key, state, touched, size, sha256, damaged = row
    return BlobRow(account_id, key, BlobState(state), touched, size, sha256, bool(damaged))


def account_of(row: Row) -> Account:
    """Return the account of a row of SELECT_ACCOUNT."""
    account_id, name, ancestors, created, realm, language, superduper, generation = row
    return Account(
        id=account_id,
        name=name,
        ancestor_ids=tuple(orjson.loads(ancestors)),
        created_ms=created,
        realm=realm,
        language=language,
        superduper_admin=bool(superduper),
        key_generation=generation,
    )
