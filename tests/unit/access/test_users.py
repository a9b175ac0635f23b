"""Users: logging in with credentials."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from kazoo_media.access.users import Users
from kazoo_media.errors import (
    ForbiddenError,
    InvalidCredentialsError,
    ValidationError,
)
from tests.support.core_fixtures import CoreUnderTest, core_on_disk, make_core
from tests.support.hashes import count_hashes


@pytest.fixture
async def tested() -> CoreUnderTest:
    return await make_core()


@pytest.fixture
def users(tested: CoreUnderTest) -> Users:
    return Users(tested.metadata, tested.core.accounts)


def _credentials(name: str, password: str, algorithm: str = "md5") -> str:
    return hashlib.new(algorithm, f"{name}:{password}".encode()).hexdigest()


async def _account(tested: CoreUnderTest, name: str, realm: str = "") -> str:
    account, _ = await tested.core.accounts.create(
        tested.admin, parent_id="", name=name, realm=realm
    )
    return account.id


@pytest.mark.parametrize("algorithm", ["md5", "sha1"])
async def test_a_user_logs_in_by_account_name_or_realm(
    tested: CoreUnderTest, users: Users, algorithm: str
) -> None:
    account_id = await _account(tested, "My Company", "sip.example.com")
    user = await users.put(tested.admin, account_id, "ann", "secret word")
    credentials = _credentials("ann", "secret word", algorithm)
    for found in (
        await users.log_in(credentials, account_name="mycompany"),
        await users.log_in(credentials.upper(), account_realm="SIP.example.com"),
    ):
        assert found.user == user
        caller = await tested.core.accounts.authenticate(found.login.token)
        assert caller.account.id == account_id


async def test_wrong_words_and_other_accounts_are_refused(
    tested: CoreUnderTest, users: Users
) -> None:
    await users.put(tested.admin, await _account(tested, "one"), "ann", "secret word")
    await _account(tested, "two")
    good = _credentials("ann", "secret word")
    for credentials, account in (
        (_credentials("ann", "secret"), "one"),
        (_credentials("bob", "secret word"), "one"),
        (good, "two"),
        (good, "nobody"),
        (good, ""),
    ):
        with pytest.raises(InvalidCredentialsError):
            await users.log_in(credentials, account_name=account)


@pytest.mark.parametrize(
    ("name", "password", "account"),
    [
        ("ann", "secret word", {"account_name": "one"}),
        ("ann", "secret word", {"account_realm": "one.example"}),
        ("ann", "wrong word", {"account_name": "one"}),
        ("bob", "secret word", {"account_name": "one"}),
        ("ann", "secret word", {"account_name": "nobody"}),
        ("ann", "secret word", {"account_realm": "nobody.example"}),
        ("ann", "secret word", {"account_name": "?!"}),
        ("ann", "secret word", {}),
    ],
)
async def test_every_log_in_costs_one_hash(
    tested: CoreUnderTest,
    users: Users,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    password: str,
    account: dict[str, str],
) -> None:
    account_id = await _account(tested, "one", "one.example")
    await users.put(tested.admin, account_id, "ann", "secret word")
    hashes = count_hashes(monkeypatch)
    with suppress(InvalidCredentialsError):
        await users.log_in(_credentials(name, password), **account)
    assert len(hashes) == 1


async def test_a_new_password_ends_the_old_one(tested: CoreUnderTest, users: Users) -> None:
    account_id = await _account(tested, "one")
    first = await users.put(tested.admin, account_id, "ann", "first word")
    assert await users.put(tested.admin, account_id, "ann", "second word") == first
    await users.log_in(_credentials("ann", "second word"), account_name="one")
    with pytest.raises(InvalidCredentialsError):
        await users.log_in(_credentials("ann", "first word"), account_name="one")


async def test_one_password_is_stored_differently_in_each_account(tmp_path: Path) -> None:
    async with core_on_disk(tmp_path) as tested:
        for name in ("one", "two"):
            account_id = await _account(tested, name)
            users = Users(tested.metadata, tested.core.accounts)
            await users.put(tested.admin, account_id, "ann", "secret word")
    with closing(sqlite3.connect(tmp_path / "metadata.sqlite")) as database:
        digests = database.execute("select digest from user_credential").fetchall()
    assert len(set(digests)) == 4


async def test_users_are_made_within_reach_only(tested: CoreUnderTest, users: Users) -> None:
    account, key = await tested.core.accounts.create(tested.admin, parent_id="", name="one")
    caller = await tested.core.accounts.authenticate((await tested.core.accounts.log_in(key)).token)
    with pytest.raises(ForbiddenError):
        await users.put(caller, tested.admin.account.id, "ann", "secret word")
    assert (await users.put(caller, "", "ann", "secret word")).account_id == account.id


@pytest.mark.parametrize(
    ("name", "password"), [("", "secret word"), ("a:b", "secret word"), ("ann", "short")]
)
async def test_bad_names_and_short_passwords_are_refused(
    tested: CoreUnderTest, users: Users, name: str, password: str
) -> None:
    with pytest.raises(ValidationError):
        await users.put(tested.admin, "", name, password)
