"""Accounts: who is calling and what they may do."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kazoo_media.access.accounts import Caller
from kazoo_media.errors import (
    AccountNotFoundError,
    ConflictError,
    ForbiddenError,
    InvalidCredentialsError,
    NameTakenError,
    ValidationError,
)
from kazoo_media.model import SYSTEM_ACCOUNT_ID
from tests.support.core_fixtures import CoreUnderTest, make_core
from tests.support.names import unique_name


@pytest.fixture
async def tested() -> CoreUnderTest:
    return await make_core()


async def _child(tested: CoreUnderTest, parent_id: str = "") -> tuple[Caller, str]:
    account, key = await tested.core.accounts.create(
        tested.admin, parent_id=parent_id, name=unique_name("child")
    )
    return Caller(account), key


async def test_an_api_key_gives_a_token_that_speaks_for_its_account(tested: CoreUnderTest) -> None:
    child, key = await _child(tested)
    login = await tested.core.accounts.log_in(key)
    assert login.token.count(".") == 2
    assert login.expires_s - time.time() == pytest.approx(3600, abs=5)
    assert await tested.core.accounts.authenticate(login.token) == child


@pytest.mark.parametrize("key", ["", "0" * 64, "not a key"])
async def test_an_unknown_api_key_is_refused(tested: CoreUnderTest, key: str) -> None:
    with pytest.raises(InvalidCredentialsError):
        await tested.core.accounts.log_in(key)


async def test_rotating_a_key_ends_the_old_key_and_its_tokens(tested: CoreUnderTest) -> None:
    accounts = tested.core.accounts
    child, old_key = await _child(tested)
    old = await accounts.log_in(old_key)
    new_key = await accounts.rotate_api_key(child, "")
    with pytest.raises(InvalidCredentialsError):
        await accounts.authenticate(old.token)
    with pytest.raises(InvalidCredentialsError):
        await accounts.log_in(old_key)
    again = await accounts.authenticate((await accounts.log_in(new_key)).token)
    assert again.account.id == child.account.id


async def test_an_account_reaches_itself_and_its_descendants_only(tested: CoreUnderTest) -> None:
    accounts = tested.core.accounts
    parent, _ = await _child(tested)
    child, _ = await _child(tested, parent.account.id)
    stranger, _ = await _child(tested)
    for caller in (child, parent, tested.admin):
        scope = await accounts.write_scope(caller, child.account.id)
        assert scope.account_id == child.account.id
    for caller, wanted in ((stranger, child), (child, parent), (child, tested.admin)):
        with pytest.raises(ForbiddenError):
            await accounts.read_scope(caller, wanted.account.id)
        with pytest.raises(ForbiddenError):
            await accounts.write_scope(caller, wanted.account.id)


async def test_an_id_in_upper_case_is_the_same_account(tested: CoreUnderTest) -> None:
    scope = await tested.core.accounts.read_scope(tested.admin, tested.admin.account.id.upper())
    assert scope.account_id == tested.admin.account.id


@pytest.mark.parametrize("account_id", ["0" * 32, "nonsense", "../etc", "0" * 31, ""])
async def test_an_account_that_does_not_exist_is_not_found(
    tested: CoreUnderTest, account_id: str
) -> None:
    with pytest.raises(AccountNotFoundError):
        await tested.core.accounts.read_scope(tested.admin, account_id)


async def test_anybody_reads_the_system_scope_and_only_admins_write_it(
    tested: CoreUnderTest,
) -> None:
    accounts = tested.core.accounts
    child, _ = await _child(tested)
    assert (await accounts.read_scope(child, SYSTEM_ACCOUNT_ID)).account_id == SYSTEM_ACCOUNT_ID
    assert (await accounts.write_scope(tested.admin, SYSTEM_ACCOUNT_ID)).account_id == "system"
    with pytest.raises(ForbiddenError):
        await accounts.write_scope(child, SYSTEM_ACCOUNT_ID)


async def test_only_an_admin_makes_an_admin(tested: CoreUnderTest) -> None:
    accounts = tested.core.accounts
    child, _ = await _child(tested)
    with pytest.raises(ForbiddenError):
        await accounts.create(child, parent_id="", name="x", superduper_admin=True)
    made, _ = await accounts.create(tested.admin, parent_id="", name="x", superduper_admin=True)
    assert made.superduper_admin


async def test_accounts_are_listed_below_their_ancestor(tested: CoreUnderTest) -> None:
    accounts = tested.core.accounts
    parent, _ = await _child(tested)
    child, _ = await _child(tested, parent.account.id)
    stranger, _ = await _child(tested)
    assert await accounts.list_descendants(parent, "", "", 10) == [child.account]
    everybody = await accounts.list_descendants(tested.admin, "", "", 10)
    assert {each.id for each in everybody} >= {stranger.account.id, tested.admin.account.id}
    with pytest.raises(ForbiddenError):
        await accounts.list_descendants(child, parent.account.id, "", 10)


async def test_a_chosen_account_id_is_used_once(tested: CoreUnderTest) -> None:
    accounts = tested.core.accounts
    wanted = "ab" * 16
    account, _ = await accounts.create(tested.admin, parent_id="", name="x", account_id=wanted)
    assert account.id == wanted
    with pytest.raises(ConflictError):
        await accounts.create(tested.admin, parent_id="", name="y", account_id=wanted)


async def test_only_an_admin_chooses_an_account_id(tested: CoreUnderTest) -> None:
    child, _ = await _child(tested)
    with pytest.raises(ForbiddenError, match="only superduper admins choose the id"):
        await tested.core.accounts.create(child, parent_id="", name="x", account_id="ab" * 16)
    assert await tested.metadata.get_account("ab" * 16) is None
    await tested.core.accounts.create(child, parent_id="", name="x")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": "MASTER!"}, "another account has the name 'MASTER!': choose a different one"),
        (
            {"name": "x", "realm": "SIP.example"},
            "another account has the realm 'SIP.example': choose a different one",
        ),
    ],
)
async def test_a_name_and_a_realm_are_given_once_in_the_whole_tree(
    tested: CoreUnderTest, fields: dict[str, Any], text: str
) -> None:
    accounts = tested.core.accounts
    await accounts.create(tested.admin, parent_id="", name="other", realm="sip.EXAMPLE")
    child, _ = await _child(tested)
    with pytest.raises(NameTakenError) as refused:
        await accounts.create(child, parent_id="", **fields)
    assert refused.value.http_status == 409
    assert refused.value.kazoo_message == "datastore_conflict"
    assert refused.value.kazoo_data == {"message": text}


async def test_of_several_nodes_one_makes_the_master_account(tested: CoreUnderTest) -> None:
    assert await tested.core.accounts.create_master("master", "ab" * 16) is None
    assert (await tested.core.accounts.log_in(tested.api_key)).account == tested.admin.account
    assert len(await tested.metadata.list_accounts(None, "", 9)) == 1


async def test_a_master_account_that_a_crash_left_without_a_known_key_gets_a_new_one(
    tested: CoreUnderTest,
) -> None:
    accounts = tested.core.accounts
    made = await accounts.create_master("master", tested.admin.account.id)
    assert made is not None
    again, key = made
    assert again.id == tested.admin.account.id
    assert (await accounts.log_in(key)).account.superduper_admin
    with pytest.raises(InvalidCredentialsError):
        await accounts.log_in(tested.api_key)
    assert len(await tested.metadata.list_accounts(None, "", 9)) == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"name": "?!"}, "name"),
        ({"name": "x", "account_id": "AB" * 16}, "account_id"),
        ({"name": "x", "realm": "r" * 254}, "realm"),
    ],
)
async def test_bad_names_realms_and_ids_are_refused(
    tested: CoreUnderTest, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        await tested.core.accounts.create(tested.admin, parent_id="", **fields)
    assert [each.field for each in refused.value.violations] == [field]
