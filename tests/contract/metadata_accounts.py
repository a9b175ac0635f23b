"""What every metadata store promises of accounts and their users."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from kazoo_media.errors import ConflictError, NameTakenError
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import Account, User, account_key


def _account(account_id: str, *ancestor_ids: str) -> Account:
    return Account(account_id, f"name of {account_id}", ancestor_ids, 1000)


class AccountStoreContract:
    """The promises of `AccountStore`."""

    async def test_an_account_is_found_by_id_and_by_key(self, store: MetadataStore) -> None:
        account = Account("child", "Ünï", ("master", "parent"), 5, "realm", "de-de", True, 3)  # noqa: FBT003
        await store.insert_account(account, "digest")
        assert await store.get_account("child") == account
        assert await store.find_account("digest") == account
        assert await store.get_account("Child") is None
        assert await store.find_account("other") is None
        assert await store.find_account("") is None

    async def test_an_account_id_is_taken_once(self, store: MetadataStore) -> None:
        await store.insert_account(_account("a"), "first")
        with pytest.raises(ConflictError):
            await store.insert_account(replace(_account("a", "x"), name="new"), "second")
        assert await store.get_account("a") == _account("a")
        assert await store.find_account("second") is None
        assert await store.list_accounts("x", "", 9) == []

    async def test_an_account_is_found_by_the_letters_of_its_name_or_by_realm(
        self, store: MetadataStore
    ) -> None:
        account = replace(_account("a"), name="My Company, Inc.", realm="SIP.example.com")
        for each in (account, replace(_account("c"), name="?!")):
            await store.insert_account(each, f"key of {each.id}")
        assert await store.find_named_account(account_key("MY company-inc"), "") == account
        assert await store.find_named_account("", "sip.example.com") == account
        assert await store.find_named_account("mycompanyinc", "other.example") == account
        assert await store.find_named_account("nobody", "sip.example.com") is None
        assert await store.find_named_account("", "") is None

    @pytest.mark.parametrize(
        ("field", "first", "second"),
        [
            ("name", "My Company", "My Company"),
            ("name", "My Company", "MY-COMPANY!"),
            ("name", "Ünï", "üNÏ"),
            ("realm", "sip.example.com", "SIP.example.COM"),
            ("realm", "bücher.example", "BÜCHER.example"),
        ],
    )
    async def test_a_name_and_a_realm_belong_to_one_account(
        self, store: MetadataStore, field: str, first: str, second: str
    ) -> None:
        one: dict[str, Any] = {field: first}
        other: dict[str, Any] = {field: second}
        await store.insert_account(replace(_account("a", "p"), **one), "first")
        with pytest.raises(NameTakenError) as refused:
            await store.insert_account(replace(_account("b", "q"), **other), "second")
        assert refused.value.facts == {"field": field, "value": second}
        assert await store.get_account("b") is None
        assert await store.find_account("second") is None
        assert await store.list_accounts("q", "", 9) == []

    async def test_a_taken_name_is_reported_before_a_taken_realm_and_a_taken_id_before_both(
        self, store: MetadataStore
    ) -> None:
        await store.insert_account(replace(_account("a"), realm="a.example"), "a")
        await store.insert_account(replace(_account("b"), realm="b.example"), "b")
        both = replace(_account("c"), name="name of b", realm="a.example")
        with pytest.raises(NameTakenError) as refused:
            await store.insert_account(both, "c")
        assert refused.value.facts["field"] == "name"
        with pytest.raises(ConflictError):
            await store.insert_account(replace(both, id="a"), "c")

    async def test_accounts_without_a_realm_or_a_letter_in_the_name_do_not_conflict(
        self, store: MetadataStore
    ) -> None:
        for account_id in ("a", "b"):
            await store.insert_account(replace(_account(account_id), name="?!"), account_id)
        assert len(await store.list_accounts(None, "", 9)) == 2

    async def test_of_accounts_that_race_for_a_name_one_gets_it(self, store: MetadataStore) -> None:
        racing = [replace(_account(str(n)), name="Acme") for n in range(10)]
        results = await asyncio.gather(
            *(store.insert_account(each, each.id) for each in racing), return_exceptions=True
        )
        assert [each for each in results if not isinstance(each, NameTakenError)] == [None]
        assert len(await store.list_accounts(None, "", 99)) == 1

    async def test_a_user_is_found_by_any_credential_of_the_own_account(
        self, store: MetadataStore
    ) -> None:
        user = User("a", "u1", "Ünï", 5)
        assert await store.put_user(user, ["one", "two"]) == user
        await store.put_user(User("a", "u2", "other", 6), ["three"])
        assert await store.find_user("a", "one") == user
        assert await store.find_user("a", "two") == user
        assert await store.find_user("b", "one") is None
        assert await store.find_user("a", "") is None

    async def test_new_credentials_replace_the_old_ones_and_keep_the_user(
        self, store: MetadataStore
    ) -> None:
        user = await store.put_user(User("a", "u1", "name", 5), ["old"])
        assert await store.put_user(User("a", "u2", "name", 9), ["new"]) == user
        assert await store.find_user("a", "old") is None
        assert await store.find_user("a", "new") == user

    async def test_descendants_of_every_depth_are_listed_and_paged(
        self, store: MetadataStore
    ) -> None:
        for account in (
            _account("root"),
            _account("e", "root"),
            _account("b", "root"),
            _account("d", "root", "b"),
            _account("c", "root", "b", "d"),
        ):
            await store.insert_account(account, f"key of {account.id}")

        async def ids(ancestor: str | None, start: str = "", limit: int = 9) -> str:
            found = await store.list_accounts(ancestor, start, limit)
            return " ".join(each.id for each in found)

        assert await ids(None) == "b c d e root"
        assert await ids("root") == "b c d e"
        assert await ids("b") == "c d"
        assert await ids("c") == ""
        assert await ids("unknown") == ""
        assert await ids("root", "c", 2) == "c d"
        assert await ids(None, "e") == "e root"
        assert (await store.list_accounts("d", "", 1))[0].ancestor_ids == ("root", "b", "d")

    async def test_a_replaced_key_ends_the_old_one(self, store: MetadataStore) -> None:
        await store.insert_account(_account("a"), "old")
        await store.insert_account(_account("b"), "other")
        replaced = await store.replace_api_key("a", "new")
        assert replaced == replace(_account("a"), key_generation=2)
        assert await store.get_account("a") == replaced
        assert await store.find_account("new") == replaced
        assert await store.find_account("old") is None
        assert await store.find_account("other") == _account("b")
        assert await store.replace_api_key("unknown", "x") is None
        assert await store.find_account("x") is None

    async def test_every_racing_key_replacement_counts(self, store: MetadataStore) -> None:
        await store.insert_account(_account("a"), "0")
        results = await asyncio.gather(
            *(store.replace_api_key("a", str(number)) for number in range(1, 11))
        )
        generations = [each.key_generation for each in results if each is not None]
        assert sorted(generations) == list(range(2, 12))
