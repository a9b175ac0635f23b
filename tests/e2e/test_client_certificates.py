"""Client certificates on the gRPC port of the built product: the accounts that their names have. On
both engines: with the gateway, and on a worker's own port.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import grpc
import grpc.aio
import httpx
import pytest
from cryptography import x509
from google.protobuf.struct_pb2 import NULL_VALUE, Value

from kazoo_media.client import Client, Media, MediaServiceError, TlsFiles
from kazoo_media.service.bootstrap import Bootstrap
from kazoo_media.v1.account_service_pb2 import CreateAccountRequest, GetAccountRequest
from kazoo_media.v1.account_service_pb2_grpc import AccountServiceStub
from tests.e2e.shell import Shell
from tests.support.audio_samples import tone
from tests.support.certificates import Certificate, local_server
from tests.support.names import unique_name
from tests.support.product import Product
from tests.support.standalone import StandaloneWorker

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Secured:
    """A running product with TLS, and who signs the certificates of its clients."""

    product: Product
    known: Bootstrap
    folder: Path
    server: Certificate
    authority: Certificate

    def certificate(self, *names: x509.GeneralName, common_name: str = "") -> Certificate:
        """Return a client's certificate, its common name its own unless one is given."""
        return Certificate(self.folder, common_name or uuid4().hex, *names, issuer=self.authority)

    def client(self, certificate: Certificate, api_key: str = "", token: str = "") -> Client:
        """Return a client that shows a certificate and has no other identity unless given."""
        tls = TlsFiles(self.server.path, certificate.path, certificate.key_path)
        return Client(self.known.grpc_target, api_key, token, tls)


@pytest.fixture(scope="module", params=[Product, StandaloneWorker], ids=["http1", "aio"])
def secured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    server, authority = local_server(folder), Certificate(folder, "authority")
    files = {
        "tls_cert": str(server.path),
        "tls_key": str(server.key_path),
        "tls_client_ca": str(authority.path),
    }
    with request.param(folder, **files) as product:
        yield Secured(product, product.bootstrap, folder, server, authority)


@pytest.fixture
async def admin(secured: Secured) -> AsyncIterator[Client]:
    """Return a client with the master account's API key; its certificate has no account."""
    async with secured.client(secured.certificate(), api_key=secured.known.api_key) as client:
        yield client


@pytest.fixture
async def account(admin: Client) -> tuple[str, str]:
    """Return a new account and its API key."""
    made = await admin.create_account(CreateAccountRequest(name=unique_name("Recorders")))
    return made.account.id, made.api_key


async def put_names(admin: Client, **account_ids: str) -> None:
    wanted = Value(string_value=json.dumps({"nobody.example": "0" * 32, **account_ids}))
    await admin.set_default_setting("accounts", "client_names", wanted)


async def own_account(secured: Secured, certificate: Certificate, **identity: str) -> str:
    async with secured.client(certificate, **identity) as client:
        return await client.account_id()


async def refusal(secured: Secured, certificate: Certificate, **identity: str) -> MediaServiceError:
    with pytest.raises(MediaServiceError) as refused:
        await own_account(secured, certificate, **identity)
    assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED
    assert refused.value.reason == "INVALID_CREDENTIALS"
    return refused.value


@pytest.mark.parametrize("kind", ["dns", "uri", "common name"])
async def test_a_mapped_name_works_for_its_account_and_those_below(
    secured: Secured, admin: Client, account: tuple[str, str], kind: str
) -> None:
    name = f"recorder-{uuid4().hex}.example"
    alternative: tuple[x509.GeneralName, ...] = ()
    if kind == "uri":
        name = f"spiffe://{name}/main"
        alternative = (x509.UniformResourceIdentifier(name),)
    elif kind == "dns":
        alternative = (x509.DNSName("another.example"), x509.DNSName(name))
    own = secured.certificate(*alternative, common_name="" if alternative else name)
    account_id, _ = account
    child = await admin.create_account(
        CreateAccountRequest(name=unique_name("Below"), parent_id=account_id)
    )
    await put_names(admin, **{name: account_id})
    async with secured.client(own) as client:
        assert await client.account_id() == account_id
        for each in (account_id, child.account.id):
            made = await client.create_media(each, Media(name="Recorded"))
            (secured.folder / "tone.wav").write_bytes(tone(0.2))
            media = await client.upload(each, made.id, secured.folder / "tone.wav")
            assert media.content_length == len(tone(0.2))
        for elsewhere in (secured.known.account_id, "system"):
            with pytest.raises(MediaServiceError) as refused:
                await client.create_media(elsewhere, Media(name="Recorded"))
            assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(MediaServiceError) as refused:
            await client.get_settings("accounts", "client_names", "")
        assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED
        assert await client.token() == ""
    lines = [each for each in secured.product.log_lines() if each.get("client_names")]
    assert any(
        name in str(each["client_names"]) and each["account_id"] == account_id for each in lines
    )


async def test_a_name_without_an_account_is_as_no_credentials_and_is_named(
    secured: Secured, admin: Client
) -> None:
    await put_names(admin)
    stranger = secured.certificate(x509.DNSName("stranger.example"))
    refused = await refusal(secured, stranger)
    assert "stranger.example" in refused.message
    assert refused.metadata == {"client_names": "stranger.example"}
    assert (
        "nobody.example"
        in (await refusal(secured, secured.certificate(x509.DNSName("nobody.example")))).message
    )


async def test_a_common_name_counts_only_where_there_is_no_other(
    secured: Secured, admin: Client, account: tuple[str, str]
) -> None:
    await put_names(admin, **{"important.example": account[0]})
    own = secured.certificate(x509.DNSName("other.example"), common_name="important.example")
    assert "other.example" in (await refusal(secured, own)).message


async def test_a_name_with_separators_in_it_is_one_name(
    secured: Secured, admin: Client, account: tuple[str, str]
) -> None:
    await put_names(admin, **{"important.example": account[0]})
    for trick in ("x,important.example", 'x;DNS=important.example;Cert="', "x, important.example"):
        await refusal(secured, secured.certificate(x509.DNSName(trick)))


async def test_a_mapping_ends_at_once_when_it_is_taken_away(
    secured: Secured, admin: Client, account: tuple[str, str]
) -> None:
    await put_names(admin, **{"fired.example": account[0]})
    async with secured.client(secured.certificate(x509.DNSName("fired.example"))) as client:
        assert await client.account_id() == account[0]
        await client.create_media(account[0], Media(name="Recorded"))
        nothing = Value(null_value=NULL_VALUE)
        await admin.set_default_setting("accounts", "client_names", nothing)
        with pytest.raises(MediaServiceError) as refused:
            await client.create_media(account[0], Media(name="Recorded"))
        assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_wins_over_the_certificate(
    secured: Secured, admin: Client, account: tuple[str, str]
) -> None:
    other = await admin.create_account(CreateAccountRequest(name=unique_name("Other")))
    await put_names(admin, **{"both.example": account[0]})
    both = secured.certificate(x509.DNSName("both.example"))
    assert await own_account(secured, both) == account[0]
    assert await own_account(secured, both, api_key=other.api_key) == other.account.id
    assert (await refusal(secured, both, token="a.b.c")).metadata == {}


async def test_a_certificate_in_a_header_is_worth_nothing(
    secured: Secured, admin: Client, account: tuple[str, str]
) -> None:
    await put_names(admin, **{"spoofed.example": account[0]})
    spoofed = secured.certificate(x509.DNSName("spoofed.example"))
    own = secured.certificate(x509.DNSName("own.example"))
    header = ("x-forwarded-client-cert", f'Hash=00;Cert="{quote(spoofed.pem)}"')
    credentials = grpc.ssl_channel_credentials(secured.server.pem, own.key_pem, own.pem)
    async with grpc.aio.secure_channel(secured.known.grpc_target, credentials) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await AccountServiceStub(channel).GetAccount(GetAccountRequest(), metadata=(header,))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "own.example" in str(refused.value.details())
    if not secured.known.rest_url:  # the standard engine has no REST port
        return
    context = ssl.create_default_context(cadata=secured.server.pem.decode())
    context.load_cert_chain(spoofed.path, spoofed.key_path)
    async with httpx.AsyncClient(verify=context, base_url=secured.known.rest_url) as http:
        answer = await http.get(f"/v2/accounts/{account[0]}/media", headers=dict([header]))
    assert answer.status_code == 401


async def test_commands_need_no_api_key_with_a_certificate(
    secured: Secured, admin: Client, account: tuple[str, str], tmp_path: Path
) -> None:
    await put_names(admin, **{"shell.example": account[0]})
    shell = Shell(tmp_path / "elsewhere", tmp_path)
    shell.environment["KAZOO_MEDIA_TARGET"] = secured.known.grpc_target
    with_ca = ("--tls-ca", str(secured.server.path))

    def showing(certificate: Certificate) -> tuple[str, ...]:
        return (
            *with_ca,
            "--tls-cert",
            str(certificate.path),
            "--tls-key",
            str(certificate.key_path),
        )

    own = showing(secured.certificate(x509.DNSName("shell.example")))
    assert json.loads(shell.ok("accounts", "get", "--json", *own))["id"] == account[0]
    assert "needs an API key" in shell.fails("accounts", "token", *own)
    stranger = showing(secured.certificate(x509.DNSName("stranger.example")))
    assert "stranger.example" in shell.fails("accounts", "get", *stranger)
    assert "--tls-cert" in shell.fails("accounts", "get", *with_ca)
