"""Renames accounts of an older database, in which several could have one name or realm."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import apsw

from kazoo_media.model import account_key


@dataclass(frozen=True, slots=True)
class Renaming:
    """One changed name or realm.

    Attributes:
        field: `name` or `realm`.
    """

    account_id: str
    field: str
    before: str
    after: str


def make_names_unique(db: apsw.Connection) -> list[Renaming]:
    """Give every account a name and a realm of its own and return what was changed.

    Of several accounts with one name the oldest keeps it; the others get a number: `Acme (2)`.
    """
    return [
        *_make_unique(db, "name", account_key),
        *_make_unique(db, "realm", str.lower),
    ]


def _make_unique(db: apsw.Connection, field: str, key_of: Callable[[str], str]) -> list[Renaming]:
    select = f"select id, {field} from account order by created, id"  # noqa: S608, no outside text
    rows = [(str(account_id), str(value)) for account_id, value in db.execute(select)]
    taken = {key_of(value) for _, value in rows}
    numbers: dict[str, itertools.count[int]] = {}
    renamings = []
    for account_id, value in rows:
        key = key_of(value)
        if not key:
            continue
        if key not in numbers:
            numbers[key] = itertools.count(2)
            continue
        after = next(each for each in _numbered(value, numbers[key]) if key_of(each) not in taken)
        taken.add(key_of(after))
        db.execute(
            f"update account set {field} = ?, {field}_key = ? where id = ?",  # noqa: S608, no outside text
            (after, key_of(after), account_id),
        )
        renamings.append(Renaming(account_id, field, value, after))
    return renamings


def _numbered(value: str, numbers: itertools.count[int]) -> Iterator[str]:
    for number in numbers:
        yield f"{value} ({number})"
