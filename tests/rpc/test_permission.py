"""Who may do what: tokens, tenant isolation, the system scope. Every rpc that names an account is
asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kazoo_media.v1 import (
    language_service_pb2,
    language_service_pb2_grpc,
    media_service_pb2,
    media_service_pb2_grpc,
    prompt_service_pb2,
    prompt_service_pb2_grpc,
)
from kazoo_media.v1.media_pb2 import Media
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from tests.contract.upload_promises import FIRST, cut
from tests.rpc.service import Metadata, Tenant, ThreadedService, refused, upload_messages

_MODULES = (
    (media_service_pb2, media_service_pb2_grpc, "MediaService"),
    (prompt_service_pb2, prompt_service_pb2_grpc, "PromptService"),
    (language_service_pb2, language_service_pb2_grpc, "LanguageService"),
)
_WRITING = (
    "CreateMedia",
    "UpdateMedia",
    "DeleteMedia",
    "PurgeMedia",
    "UploadContent",
    "NormalizeMedia",
    "RestoreMedia",
)
_PROMPT = {"prompt_id": "p", "language": "en-us"}
_RPCS = [
    (service, method.name)
    for module, _, service in _MODULES
    for method in module.DESCRIPTOR.services_by_name[service].methods
]


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[MediaServiceStub]:
    return MediaServiceStub


@pytest.fixture(scope="module")
def call(grpc_channel: Any) -> Callable[..., Any]:
    """Return a function that calls an rpc with nothing but what is required, on the media `m`."""
    modules = {service: (module, stubs) for module, stubs, service in _MODULES}

    def call(rpc: tuple[str, str], account_id: str, metadata: Metadata) -> Any:
        service, method = rpc
        module, stubs = modules[service]
        request: Any
        if method == "UploadContent":
            request = iter(upload_messages(Tenant(account_id, "", ()), "m", cut(FIRST)))
        else:
            request = getattr(module, f"{method}Request")(account_id=account_id)
            fields = request.DESCRIPTOR.fields_by_name
            if "media" in fields:
                request.media.id, request.media.name = "m", "File"
            if "media_id" in fields:
                request.media_id = "m"
            if "preset" in fields:
                request.preset = "telephony"
            if "prompt_id" in fields:
                request.prompt_id = "p"
        answer = getattr(getattr(stubs, f"{service}Stub")(grpc_channel), method)(
            request, metadata=metadata
        )
        return list(answer) if method == "DownloadContent" else answer

    return call


@pytest.fixture
def other(grpc_server: ThreadedService, grpc_stub: Any) -> Tenant:
    """Return an account that is no relation of the tenant, with audio at `m` and a prompt `p`."""
    other = grpc_server.run(grpc_server.service.tenant())
    _fill(grpc_stub, other)
    _fill(grpc_stub, other, **_PROMPT)
    return other


def _fill(stub: Any, tenant: Tenant, account_id: str = "", **fields: Any) -> None:
    owner = Tenant(account_id or tenant.account_id, "", tenant.metadata)
    request = media_service_pb2.CreateMediaRequest(
        account_id=owner.account_id, media=Media(name="File", **fields or {"id": "m"})
    )
    media_id = stub.CreateMedia(request, metadata=owner.metadata).media.id
    messages = upload_messages(owner, media_id, cut(FIRST))
    stub.UploadContent(iter(messages), metadata=owner.metadata)


@pytest.mark.parametrize("rpc", _RPCS)
@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("x-auth-token", ""),),
        (("x-auth-token", "no.good.token"),),
        (("authorization", "Basic abc"),),
        (("authorization", "Bearer "),),
    ],
)
def test_without_a_good_token_nothing_is_done(
    call: Any, tenant: Tenant, rpc: tuple[str, str], metadata: Metadata
) -> None:
    with refused("UNAUTHENTICATED", "INVALID_CREDENTIALS"):
        call(rpc, tenant.account_id, metadata)


@pytest.mark.parametrize("rpc", _RPCS)
def test_another_account_is_out_of_reach(
    call: Any, grpc_stub: Any, tenant: Tenant, other: Tenant, rpc: tuple[str, str]
) -> None:
    _fill(grpc_stub, tenant)
    with refused("PERMISSION_DENIED", "FORBIDDEN"):
        call(rpc, other.account_id, tenant.metadata)


@pytest.mark.parametrize("rpc", _RPCS)
def test_an_ancestor_is_out_of_reach(
    call: Any, tenant: Tenant, admin: Tenant, rpc: tuple[str, str]
) -> None:
    with refused("PERMISSION_DENIED", "FORBIDDEN"):
        call(rpc, admin.account_id, tenant.metadata)


@pytest.mark.parametrize("rpc", _RPCS)
def test_an_unknown_account_is_not_found(call: Any, tenant: Tenant, rpc: tuple[str, str]) -> None:
    with refused("NOT_FOUND", "ACCOUNT_NOT_FOUND"):
        call(rpc, "0" * 32, tenant.metadata)


@pytest.mark.parametrize("rpc", _RPCS)
def test_an_account_is_required(call: Any, tenant: Tenant, rpc: tuple[str, str]) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        call(rpc, "", tenant.metadata)
    assert refusal.fields == ["account_id"]


# `m` is there and live: it cannot be created or restored.
@pytest.mark.parametrize(
    "rpc", [rpc for rpc in _RPCS if rpc[1] not in {"CreateMedia", "RestoreMedia"}]
)
def test_an_admin_reaches_every_account(
    call: Any, admin: Tenant, other: Tenant, rpc: tuple[str, str]
) -> None:
    call(rpc, other.account_id, admin.metadata)


@pytest.fixture(scope="module")
def system(grpc_stub: Any, admin: Tenant) -> None:
    _fill(grpc_stub, admin, "system")
    _fill(grpc_stub, admin, "system", **_PROMPT)


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("rpc", [rpc for rpc in _RPCS if rpc[1] not in _WRITING])
def test_every_account_reads_the_system_scope(
    call: Any, tenant: Tenant, rpc: tuple[str, str]
) -> None:
    call(rpc, "system", tenant.metadata)


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("rpc", [rpc for rpc in _RPCS if rpc[1] in _WRITING])
def test_only_an_admin_writes_the_system_scope(
    call: Any, tenant: Tenant, rpc: tuple[str, str]
) -> None:
    with refused("PERMISSION_DENIED", "FORBIDDEN"):
        call(rpc, "system", tenant.metadata)


def test_the_same_id_in_two_accounts_are_two_media(
    call: Any, grpc_stub: Any, tenant: Tenant, other: Tenant
) -> None:
    _fill(grpc_stub, tenant)
    call(("MediaService", "DeleteMedia"), tenant.account_id, tenant.metadata)
    assert len(call(("MediaService", "DownloadContent"), other.account_id, other.metadata)) == 2
