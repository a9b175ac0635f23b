"""How SQLite looks into documents."""

from __future__ import annotations

from functools import partial

import orjson

from kazoo_media.metadata.filters import Condition, DocumentSql, Path
from kazoo_media.metadata.rows import LISTED_BYTES, LISTED_KEYS

# `->` returns a number as the document has it; `->>` would turn 1e20 into another text.
_TEXT = (
    "(case json_type(m.doc, ?) when 'text' then m.doc ->> ?"
    " when 'integer' then m.doc -> ? when 'real' then m.doc -> ?"
    " when 'true' then 'true' when 'false' then 'false'"
    " when 'array' then null when 'object' then null else '' end)"
)
_HAS_KEY = "(json_type(m.doc, ?) is not null)"
_HAS_VALUE = (
    "(case json_type(m.doc, ?) when 'text' then (m.doc ->> ?) not in ('', '0')"
    " when 'integer' then (m.doc ->> ?) <> 0 when 'real' then (m.doc ->> ?) <> 0"
    " when 'array' then (m.doc -> ?) <> '[]' when 'object' then (m.doc -> ?) <> '{}'"
    " when 'true' then 1 when 'false' then 1 else 0 end)"
)


def _repeated(sql: str, path: Path) -> Condition:
    # Since SQLite 3.48 a quoted label of a path is a JSON string, so it can name any key.
    json_path = "$" + "".join("." + orjson.dumps(key).decode() for key in path)
    return sql, (json_path,) * sql.count("?")


SQLITE_DOCUMENTS = DocumentSql(
    partial(_repeated, _TEXT), partial(_repeated, _HAS_KEY), partial(_repeated, _HAS_VALUE)
)

_KEYS = ", ".join(f"'{key}', m.doc ->> '{key}'" for key in LISTED_KEYS)
SELECT_LISTED = (
    f"select m.id, case when octet_length(m.doc) <= {LISTED_BYTES} then m.doc"  # noqa: S608, no outside text
    f" else json_object({_KEYS}) end from media m"
)
