"""What every metadata store promises of accounts and their users."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from kazoo_media.errors import ConflictError
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

    async def test_accounts_are_found_by_the_letters_of_their_name_or_by_realm(
        self, store: MetadataStore
    ) -> None:
        first = replace(_account("a"), name="My Company, Inc.", realm="SIP.example.com")
        second = replace(_account("b"), name="mycompanyinc")
        for account in (first, second, replace(_account("c"), name="other")):
            await store.insert_account(account, f"key of {account.id}")
        assert await store.find_accounts(account_key("MY company-inc"), "") == [first, second]
        assert await store.find_accounts("", "sip.example.com") == [first]
        assert await store.find_accounts("", "") == []
        assert await store.find_accounts("nobody", "") == []

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
