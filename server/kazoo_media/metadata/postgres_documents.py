"""How PostgreSQL looks into documents."""

from __future__ import annotations

from kazoo_media.metadata.filters import Condition, DocumentSql, Path
from kazoo_media.metadata.rows import LISTED_BYTES, LISTED_KEYS


def _repeated(sql: str, path: Path) -> Condition:
    # `#>` would take a key of digits for the place in an array.
    value = "(m.doc" + " -> ?::text" * len(path) + ")"
    return sql.format(value), path * sql.count("{0}")


def _text(path: Path) -> Condition:
    return _repeated(
        "(case json_typeof({0}) when 'array' then null when 'object' then null"
        " else coalesce({0} #>> '{{}}', '') end)",
        path,
    )


def _has_key(path: Path) -> Condition:
    return _repeated("({0} is not null)", path)


def _has_value(path: Path) -> Condition:
    return _repeated(
        "(case json_typeof({0}) when 'string' then ({0} #>> '{{}}') not in ('', '0')"
        " when 'number' then ({0}::text)::numeric <> 0"
        " when 'array' then {0}::text <> '[]' when 'object' then {0}::text <> '{{}}'"
        " when 'boolean' then true else false end)",
        path,
    )


POSTGRES_DOCUMENTS = DocumentSql(_text, _has_key, _has_value)

_KEYS = ", ".join(f"'{key}', m.doc -> '{key}'" for key in LISTED_KEYS)
SELECT_LISTED = (
    f"select m.id, case when octet_length(m.doc::text) <= {LISTED_BYTES} then m.doc::text"  # noqa: S608, no outside text
    f" else json_build_object({_KEYS})::text end from media m"
)
