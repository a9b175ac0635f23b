"""AccountService: the tree, API keys and tokens."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kazoo_media.access.login_limit import BURST
from kazoo_media.v1.account_service_pb2 import (
    CreateAccountRequest,
    GetAccountRequest,
    IssueTokenRequest,
    ListAccountsRequest,
    PutUserRequest,
    RotateApiKeyRequest,
)
from kazoo_media.v1.account_service_pb2_grpc import AccountServiceStub
from tests.rpc.service import Live, Tenant, ThreadedService, refused


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[AccountServiceStub]:
    return AccountServiceStub


@pytest.fixture
def other(grpc_server: ThreadedService) -> Tenant:
    """Return an account that is no relation of the tenant."""
    return grpc_server.run(grpc_server.service.tenant(name="other"))


def test_a_created_account_is_returned_with_a_working_key(
    stub: Any, grpc_stub: Any, tenant: Tenant, admin: Tenant
) -> None:
    made = stub.CreateAccount(CreateAccountRequest(name="child", realm="sip.example.com"))
    assert stub.GetAccount(GetAccountRequest(account_id=made.account.id)).account == made.account
    assert made.account.name == "child"
    assert made.account.realm == "sip.example.com"
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


def test_a_chosen_id_is_given_once(stub: Any, tenant: Tenant) -> None:
    request = CreateAccountRequest(name="child", account_id=tenant.account_id[::-1])
    assert stub.CreateAccount(request).account.id == request.account_id
    with refused("ALREADY_EXISTS", "CONFLICT"):
        stub.CreateAccount(request)


def test_all_broken_rules_are_reported_together(stub: Any) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        stub.CreateAccount(CreateAccountRequest(account_id="short"))
    assert sorted(refusal.fields) == ["account_id", "name"]


def test_only_an_admin_makes_an_admin(stub: Any, admin_stub: Any) -> None:
    request = CreateAccountRequest(name="admin", superduper_admin=True)
    with refused("PERMISSION_DENIED", "FORBIDDEN"):
        stub.CreateAccount(request)
    assert admin_stub.CreateAccount(request).account.superduper_admin


def test_an_account_acts_on_itself_and_its_descendants_only(
    stub: Any, other: Tenant, admin: Tenant
) -> None:
    child = stub.CreateAccount(CreateAccountRequest(name="child")).account
    request = CreateAccountRequest(name="grandchild", parent_id=child.id)
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
    made = [stub.CreateAccount(CreateAccountRequest(name=f"child{n}")).account.id for n in range(5)]
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
    guess = IssueTokenRequest(api_key="0" * 64)
    for number in range(BURST):
        with refused("UNAUTHENTICATED", "INVALID_CREDENTIALS"):
            await stub.IssueToken(guess, metadata=(("x-rest-peer", f"192.0.2.{number}"),))
    with refused("RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS"):
        await stub.IssueToken(guess, metadata=(("x-rest-peer", "192.0.2.99"),))
