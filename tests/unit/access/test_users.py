"""Users: logging in with credentials, and the limit on failed log-ins."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from kazoo_media.access.login_limit import BURST, SECONDS_EACH, LoginLimit
from kazoo_media.access.users import Users
from kazoo_media.errors import (
    ForbiddenError,
    InvalidCredentialsError,
    TooManyRequestsError,
    ValidationError,
)
from tests.support.core_fixtures import CoreUnderTest, core_on_disk, make_core, make_login_limit


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


async def test_of_two_accounts_of_one_name_the_one_with_the_user_is_meant(
    tested: CoreUnderTest, users: Users
) -> None:
    await _account(tested, "Same")
    second = await _account(tested, "same")
    await users.put(tested.admin, second, "ann", "secret word")
    found = await users.log_in(_credentials("ann", "secret word"), account_name="SAME")
    assert found.login.account.id == second


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


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _fail(login_limit: LoginLimit, peer: str = "1.2.3.4", account: str = "one") -> None:
    with pytest.raises(InvalidCredentialsError), login_limit.attempt(peer, account):
        raise InvalidCredentialsError


def test_after_too_many_failures_log_ins_are_refused_for_a_while() -> None:
    clock = _Clock()
    login_limit = make_login_limit(clock)
    for _ in range(BURST):
        _fail(login_limit)
    with pytest.raises(TooManyRequestsError) as caught, login_limit.attempt("1.2.3.4", "one"):
        pass
    clock.now_s += int(caught.value.headers["retry-after"])
    assert clock.now_s <= SECONDS_EACH
    _fail(login_limit)


def test_others_are_not_held_up() -> None:
    login_limit = make_login_limit(_Clock())
    for _ in range(BURST):
        _fail(login_limit)
    _fail(login_limit, peer="5.6.7.8")
    _fail(login_limit, account="two")


def test_all_who_have_the_file_open_count_together(tmp_path: Path) -> None:
    with (tmp_path / "attempts").open("w+b") as one, (tmp_path / "attempts").open("r+b") as other:
        workers = [LoginLimit(one.fileno(), _Clock()), LoginLimit(other.fileno(), _Clock())]
        for number in range(BURST):
            _fail(workers[number % 2])
        for worker in workers:
            with pytest.raises(TooManyRequestsError), worker.attempt("1.2.3.4", "one"):
                pass


def test_good_log_ins_cost_nothing() -> None:
    login_limit = make_login_limit(_Clock())
    for _ in range(10 * BURST):
        with login_limit.attempt("1.2.3.4", "one"):
            pass


def test_of_many_at_once_no_more_begin_than_may_fail() -> None:
    login_limit = make_login_limit(_Clock())
    with ExitStack() as running:
        for _ in range(BURST):
            running.enter_context(login_limit.attempt("1.2.3.4", "one"))
        with pytest.raises(TooManyRequestsError), login_limit.attempt("1.2.3.4", "one"):
            pass
    with login_limit.attempt("1.2.3.4", "one"):
        pass
