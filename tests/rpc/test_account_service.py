"""AccountService: the tree, API keys and tokens."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import pytest

from kazoo_media.access.login_limit import BURST
from kazoo_media.v1.account_service_pb2 import (
    CreateAccountRequest,
    CreatePlaybackKeyRequest,
    DeletePlaybackKeyRequest,
    GetAccountRequest,
    IssueTokenRequest,
    ListAccountsRequest,
    ListPlaybackKeysRequest,
    PutUserRequest,
    RotateApiKeyRequest,
)
from kazoo_media.v1.account_service_pb2_grpc import AccountServiceStub
from tests.rpc.service import Live, Tenant, ThreadedService, refused
from tests.support.names import unique_name


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[AccountServiceStub]:
    return AccountServiceStub


@pytest.fixture
def other(grpc_server: ThreadedService) -> Tenant:
    """Return an account that is no relation of the tenant."""
    return grpc_server.run(grpc_server.service.tenant())


def test_a_created_account_is_returned_with_a_working_key(
    stub: Any, grpc_stub: Any, tenant: Tenant, admin: Tenant
) -> None:
    name = unique_name("child")
    made = stub.CreateAccount(CreateAccountRequest(name=name, realm=f"{name}.example"))
    assert stub.GetAccount(GetAccountRequest(account_id=made.account.id)).account == made.account
    assert made.account.name == name
    assert made.account.realm == f"{name}.example"
    assert list(made.account.ancestor_ids) == [admin.account_id, tenant.account_id]
    assert not made.account.superduper_admin
    assert abs(made.account.create_time.seconds - time.time()) < 60
    login = grpc_stub.IssueToken(IssueTokenRequest(api_key=made.api_key))
    assert login.account_id == made.account.id


def test_a_token_speaks_for_its_account_for_an_hour(grpc_stub: Any, tenant: Tenant) -> None:
    login = grpc_stub.IssueToken(IssueTokenRequest(api_key=tenant.api_key))
    assert abs(login.expire_time.seconds - time.time() - 3600) < 60
    own = grpc_stub.GetAccount(
        GetAccountRequest(), metadata=(("authorization", f"Bearer {login.token}"),)
    )
    assert own.account.id == tenant.account_id


@pytest.mark.parametrize("api_key", ["", "0" * 64, "ä"])
def test_an_unknown_key_gets_no_token(grpc_stub: Any, api_key: str) -> None:
    with refused("UNAUTHENTICATED", "INVALID_CREDENTIALS"):
        grpc_stub.IssueToken(IssueTokenRequest(api_key=api_key))


def test_a_rotated_key_and_its_tokens_end_at_once(
    stub: Any, grpc_stub: Any, tenant: Tenant
) -> None:
    new_key = stub.RotateApiKey(RotateApiKeyRequest()).api_key
    with refused("UNAUTHENTICATED", "INVALID_CREDENTIALS"):
        stub.GetAccount(GetAccountRequest())
    with refused("UNAUTHENTICATED", "INVALID_CREDENTIALS"):
        grpc_stub.IssueToken(IssueTokenRequest(api_key=tenant.api_key))
    login = grpc_stub.IssueToken(IssueTokenRequest(api_key=new_key))
    assert login.account_id == tenant.account_id


def test_a_chosen_id_is_given_once(admin_stub: Any, tenant: Tenant) -> None:
    name = unique_name("child")
    request = CreateAccountRequest(name=name, account_id=tenant.account_id[::-1])
    assert admin_stub.CreateAccount(request).account.id == request.account_id
    with refused("ALREADY_EXISTS", "CONFLICT"):
        admin_stub.CreateAccount(request)


def test_only_an_admin_chooses_an_id(stub: Any, admin_stub: Any) -> None:
    request = CreateAccountRequest(name=unique_name("child"), account_id=uuid4().hex)
    with refused("PERMISSION_DENIED", "FORBIDDEN") as refusal:
        stub.CreateAccount(request)
    assert "only superduper admins choose the id" in refusal.text
    with refused("NOT_FOUND", "ACCOUNT_NOT_FOUND"):
        admin_stub.GetAccount(GetAccountRequest(account_id=request.account_id))


def test_a_name_and_a_realm_are_given_once_in_the_whole_tree(
    stub: Any, admin_stub: Any, other: Tenant
) -> None:
    name = unique_name("Acme")
    first = CreateAccountRequest(name=name, realm=f"{name}.example", parent_id=other.account_id)
    admin_stub.CreateAccount(first)
    for field, value in (("name", f"{name.upper()}!"), ("realm", f"{name.upper()}.example")):
        fields: dict[str, Any] = {"name": unique_name("x"), field: value}
        request = CreateAccountRequest(**fields)
        with refused("ALREADY_EXISTS", "NAME_TAKEN") as refusal:
            stub.CreateAccount(request)
        assert refusal.text == f"another account has the {field} {value!r}: choose a different one"
        assert dict(refusal.info.metadata) == {"field": field, "value": value}


def test_all_broken_rules_are_reported_together(admin_stub: Any) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        admin_stub.CreateAccount(CreateAccountRequest(account_id="short", realm="r" * 254))
    assert sorted(refusal.fields) == ["account_id", "name", "realm"]


def test_only_an_admin_makes_an_admin(stub: Any, admin_stub: Any) -> None:
    request = CreateAccountRequest(name=unique_name("admin"), superduper_admin=True)
    with refused("PERMISSION_DENIED", "FORBIDDEN"):
        stub.CreateAccount(request)
    assert admin_stub.CreateAccount(request).account.superduper_admin


def test_an_account_acts_on_itself_and_its_descendants_only(
    stub: Any, other: Tenant, admin: Tenant
) -> None:
    child = stub.CreateAccount(CreateAccountRequest(name=unique_name("child"))).account
    request = CreateAccountRequest(name=unique_name("grandchild"), parent_id=child.id)
    grandchild = stub.CreateAccount(request).account
    assert stub.GetAccount(GetAccountRequest(account_id=grandchild.id)).account == grandchild
    for stranger in (other.account_id, admin.account_id):
        with refused("PERMISSION_DENIED", "FORBIDDEN"):
            stub.GetAccount(GetAccountRequest(account_id=stranger))
        with refused("PERMISSION_DENIED", "FORBIDDEN"):
            stub.CreateAccount(CreateAccountRequest(name="x", parent_id=stranger))
        with refused("PERMISSION_DENIED", "FORBIDDEN"):
            stub.ListAccounts(ListAccountsRequest(ancestor_id=stranger))
        with refused("PERMISSION_DENIED", "FORBIDDEN"):
            stub.RotateApiKey(RotateApiKeyRequest(account_id=stranger))


def test_an_unknown_account_is_not_found(stub: Any) -> None:
    with refused("NOT_FOUND", "ACCOUNT_NOT_FOUND") as refusal:
        stub.GetAccount(GetAccountRequest(account_id="0" * 32))
    assert refusal.info.metadata["account_id"] == "0" * 32


def test_the_pages_of_a_list_have_all_descendants(stub: Any) -> None:
    names = [unique_name("child") for _ in range(5)]
    made = [stub.CreateAccount(CreateAccountRequest(name=each)).account.id for each in names]
    found: list[str] = []
    request = ListAccountsRequest(page_size=2)
    while True:
        page = stub.ListAccounts(request)
        found += [each.id for each in page.accounts]
        if not page.next_page_token:
            break
        assert len(page.accounts) == 2
        request.page_token = page.next_page_token
    assert found == sorted(made)


def test_an_admin_lists_all_accounts(admin_stub: Any, tenant: Tenant, other: Tenant) -> None:
    found = admin_stub.ListAccounts(ListAccountsRequest(page_size=1000)).accounts
    assert {tenant.account_id, other.account_id} <= {each.id for each in found}


def test_a_bad_page_is_refused(stub: Any) -> None:
    with refused("INVALID_ARGUMENT", "BAD_REQUEST"):
        stub.ListAccounts(ListAccountsRequest(page_token="!"))
    with refused("INVALID_ARGUMENT", "VALIDATION"):
        stub.ListAccounts(ListAccountsRequest(page_size=-1))


def test_a_user_is_added_and_keeps_the_id_with_another_password(
    stub: Any, grpc_stub: Any, tenant: Tenant, other: Tenant
) -> None:
    first = stub.PutUser(PutUserRequest(name="ann", password="first word")).user
    assert (first.account_id, first.name, len(first.id)) == (tenant.account_id, "ann", 32)
    assert stub.PutUser(PutUserRequest(name="ann", password="second word")).user == first
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        stub.PutUser(PutUserRequest(name="a:b", password="short"))
    assert refusal.fields == ["name", "password"]
    assert "short" not in refusal.text
    with refused("PERMISSION_DENIED", "FORBIDDEN"):
        stub.PutUser(PutUserRequest(account_id=other.account_id, name="ann", password="secret"))


async def test_guessing_keys_is_slowed_down_whatever_address_a_client_claims(live: Live) -> None:
    stub: Any = AccountServiceStub(live.channel)
    own = live.tenant.api_key
    wrong = ("1" if own[0] == "0" else "0") * 64
    guess = IssueTokenRequest(api_key=wrong)
    for number in range(BURST):
        with refused("UNAUTHENTICATED", "INVALID_CREDENTIALS"):
            await stub.IssueToken(guess, metadata=(("x-rest-peer", f"192.0.2.{number}"),))
    with refused("RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS") as refusal:
        await stub.IssueToken(guess, metadata=(("x-rest-peer", "192.0.2.99"),))
    assert int(refusal.info.metadata["retry_after_s"]) in (1, 2)
    login = await stub.IssueToken(IssueTokenRequest(api_key=own))
    assert login.account_id == live.tenant.account_id


def test_playback_keys_are_made_listed_and_removed(stub: Any, tenant: Tenant) -> None:
    made = [stub.CreatePlaybackKey(CreatePlaybackKeyRequest(name=name)) for name in ("one", "")]
    listed = stub.ListPlaybackKeys(ListPlaybackKeysRequest()).playback_keys
    assert sorted(each.id for each in listed) == sorted(each.playback_key.id for each in made)
    assert {each.name for each in listed} == {"one", ""}
    assert {each.account_id for each in listed} == {tenant.account_id}
    assert abs(listed[0].create_time.seconds - time.time()) < 60
    assert len({each.key for each in made}) == 2
    assert all(len(each.key) == 64 for each in made)
    stub.DeletePlaybackKey(DeletePlaybackKeyRequest(key_id=made[0].playback_key.id))
    [left] = stub.ListPlaybackKeys(ListPlaybackKeysRequest()).playback_keys
    assert left == made[1].playback_key
    with refused("NOT_FOUND", "PLAYBACK_KEY_NOT_FOUND") as refusal:
        stub.DeletePlaybackKey(DeletePlaybackKeyRequest(key_id=made[0].playback_key.id))
    assert dict(refusal.info.metadata) == {"key_id": made[0].playback_key.id}


def test_a_playback_key_has_a_short_name(stub: Any) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION"):
        stub.CreatePlaybackKey(CreatePlaybackKeyRequest(name="x" * 129))


def test_a_playback_key_is_no_api_key(stub: Any, grpc_stub: Any) -> None:
    made = stub.CreatePlaybackKey(CreatePlaybackKeyRequest())
    with refused("UNAUTHENTICATED", "INVALID_CREDENTIALS"):
        grpc_stub.IssueToken(IssueTokenRequest(api_key=made.key))


def test_playback_keys_of_others_are_out_of_reach(stub: Any, other: Tenant, grpc_stub: Any) -> None:
    theirs = grpc_stub.CreatePlaybackKey(CreatePlaybackKeyRequest(), metadata=other.metadata)
    own = {"account_id": other.account_id}
    for call, request in (
        (stub.CreatePlaybackKey, CreatePlaybackKeyRequest(**own)),
        (stub.ListPlaybackKeys, ListPlaybackKeysRequest(**own)),
        (
            stub.DeletePlaybackKey,
            DeletePlaybackKeyRequest(**own, key_id=theirs.playback_key.id),
        ),
    ):
        with refused("PERMISSION_DENIED", "FORBIDDEN"):
            call(request)
    with refused("NOT_FOUND", "PLAYBACK_KEY_NOT_FOUND"):
        stub.DeletePlaybackKey(DeletePlaybackKeyRequest(key_id=theirs.playback_key.id))
