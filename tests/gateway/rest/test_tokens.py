"""kazoo-v2, section 9: which tokens are good, of this node, of another, of another cluster."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey

from kazoo_media.model import SigningKey
from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import ask
from tests.support.core_fixtures import private_key
from tests.support.product import Product, wait_until

pytestmark = pytest.mark.gateway


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _private(key: rsa.RSAPrivateKey) -> RSAKey:
    return RSAKey.import_key(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _encoded(data: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def _parts(token: str) -> list[Any]:
    return [
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in token.split(".")[:2]
    ]


@dataclass(frozen=True)
class _Forger:
    """Makes tokens that differ from a good one in one point."""

    header: dict[str, Any]
    claims: dict[str, Any]

    def signed(self, key: rsa.RSAPrivateKey, *, kid: str = "", **claims: object) -> str:
        """Return a token signed with RS256; a claim of None is left out."""
        header = {**self.header, **({"kid": kid} if kid else {})}
        wanted = {k: v for k, v in {**self.claims, **claims}.items() if v is not None}
        return jwt.encode(header, wanted, _private(key))

    def unsigned(self, alg: str, **header: object) -> str:
        """Return a token without a signature."""
        return f"{_encoded({**self.header, 'alg': alg, **header})}.{_encoded(self.claims)}."

    def by_public_key(self, pem: bytes) -> str:
        """Return a token whose HMAC has the public key as its secret."""
        text = f"{_encoded({**self.header, 'alg': 'HS256'})}.{_encoded(self.claims)}"
        digest = hmac.digest(pem, text.encode(), hashlib.sha256)
        return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _forger(tenant: Tenant) -> _Forger:
    header, claims = _parts(tenant.token)
    return _Forger(header, claims)


def _get(rest: Rest, tenant: Tenant, token: str) -> Reply:
    return rest.send("GET", tenant.media, None, [("x-auth-token", token)])


def test_a_token_is_a_jwt_as_clients_know_it(tenant: Tenant) -> None:
    header, claims = _parts(tenant.token)
    assert tenant.token.count(".") == 2
    assert (header["alg"], header["typ"], len(header["kid"])) == ("RS256", "JWT", 32)
    assert (claims["iss"], claims["account_id"]) == ("kazoo", tenant.id)
    assert 3590 <= claims["exp"] - time.time() <= 3600


def test_forged_tokens_are_401(rest: Rest, tenant: Tenant) -> None:
    forger, own, other = _forger(tenant), private_key(), _key()
    assert _get(rest, tenant, forger.signed(own)).status == 200
    now = int(time.time())
    head, body, signature = tenant.token.split(".")
    stranger = _encoded({**forger.claims, "account_id": rest.admin.id})
    for name, token in {
        "another key": forger.signed(other),
        "an unknown key": forger.signed(other, kid="0" * 32),
        "expired": forger.signed(own, exp=now - 1),
        "no expiry": forger.signed(own, exp=None),
        "text as expiry": forger.signed(own, exp="later"),
        "another issuer": forger.signed(own, iss="somebody"),
        "no issuer": forger.signed(own, iss=None),
        "no account": forger.signed(own, account_id=None),
        "an unknown account": forger.signed(own, account_id="0" * 32),
        "an older key of the account": forger.signed(own, key_generation=0),
        "no key generation": forger.signed(own, key_generation=None),
        "alg none": forger.unsigned("none"),
        "alg None": forger.unsigned("None"),
        "no signature": f"{head}.{body}.",
        "HS256 with the public key": forger.by_public_key(_public_pem(own)),
        "another account": f"{head}.{stranger}.{signature}",
        "a key of the attacker's": forger.unsigned("RS256", jwk={"kty": "RSA"}, kid=None),
        "a changed signature": f"{head}.{body}.{'A' * len(signature)}",
        "four parts": f"{tenant.token}.x",
        "an API key": tenant.api_key,
    }.items():
        reply = _get(rest, tenant, token)
        assert (reply.status, reply.json["message"]) == (401, "invalid_credentials"), name
        assert reply.data == {"message": "invalid credentials"}


def test_a_token_ends_while_it_is_in_use(rest: Rest, tenant: Tenant) -> None:
    token = _forger(tenant).signed(private_key(), exp=int(time.time()) + 2)
    assert _get(rest, tenant, token).status == 200
    wait_until(lambda: _get(rest, tenant, token).status == 401, "the token has ended", 10)


def test_tokens_of_another_node_are_good_as_soon_as_its_key_is_known(
    rest: Rest, tenant: Tenant
) -> None:
    node, kid = _key(), hashlib.sha256(tenant.id.encode()).hexdigest()[:32]
    token = _forger(tenant).signed(node, kid=kid)
    assert _get(rest, tenant, token).status == 401
    rest.run(rest.metadata.add_signing_key(SigningKey(kid, _public_pem(node).decode(), 1)))
    assert _get(rest, tenant, token).status == 200
    assert _get(rest, tenant, tenant.token).status == 200


_BAD = "bad.bad.bad"


@pytest.mark.parametrize(
    ("places", "status"),
    [
        (("{T}", None, None, None), 201),
        ((None, "{T}", None, None), 201),
        ((None, None, "{T}", None), 201),
        ((None, None, None, "{T}"), 201),
        (("{T}", _BAD, _BAD, _BAD), 201),
        (("", "{T}", _BAD, _BAD), 201),
        ((None, "{T}", _BAD, _BAD), 201),
        ((None, "", "{T}", _BAD), 201),
        ((None, None, "{T}", _BAD), 201),
        (("", "", "", "{T}"), 201),
        ((_BAD, "{T}", "{T}", "{T}"), 401),
        ((None, _BAD, "{T}", "{T}"), 401),
        ((None, None, _BAD, "{T}"), 401),
        ((None, None, None, _BAD), 401),
        ((None, None, None, None), 401),
        (("", "", "", ""), 401),
    ],
)
def test_a_token_is_taken_from_header_query_envelope_bearer(
    rest: Rest,
    tenant: Tenant,
    places: tuple[str | None, str | None, str | None, str | None],
    status: int,
) -> None:
    header, query, envelope, bearer = places

    def meant(text: str | None) -> str:
        return (text or "").replace("{T}", tenant.token)

    headers = []
    if header is not None:
        headers.append(("x-auth-token", meant(header)))
    if bearer is not None:
        headers.append(("authorization", f"Bearer {meant(bearer)}"))
    path = tenant.media if query is None else f"{tenant.media}?auth_token={meant(query)}"
    body: dict[str, Any] = {"data": {"name": "x"}}
    if envelope is not None:
        body["auth_token"] = meant(envelope)
    reply = rest.send("PUT", path, json.dumps(body).encode(), headers)
    assert reply.status == status
    if status == 201:
        assert reply.json["auth_token"] == tenant.token


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_the_envelope_of_every_verb_may_hold_the_token(
    rest: Rest, tenant: Tenant, method: str
) -> None:
    media_id = ask(rest, tenant, "PUT {M}", {"data": {"name": "x"}}).data["id"]
    body = {"auth-token": tenant.token, "data": {"name": "x"}}
    assert ask(rest, tenant, f"{method} {{M}}/{media_id}", body, token=False).status == 200


def test_a_claimed_account_is_checked_on_every_verb(rest: Rest, tenant: Tenant) -> None:
    for claimed, statuses in (
        (tenant.id, [200, 201]),
        (tenant.id.upper(), [200, 201]),
        (rest.stranger.id, [401, 401]),
        ("x", [401, 401]),
        ("", [200, 201]),
    ):
        headers = {"x-auth-account-id": claimed}
        body = {"data": {"name": "x"}}
        assert [
            ask(rest, tenant, "GET {M}", None, headers).status,
            ask(rest, tenant, "PUT {M}", body, headers).status,
        ] == statuses, claimed


# The whole product: another cluster's keys, what is logged, a key's life.


@pytest.fixture(scope="module")
def cluster_key() -> rsa.RSAPrivateKey:
    return _key()


@pytest.fixture(scope="module")
def product(
    tmp_path_factory: pytest.TempPathFactory, cluster_key: rsa.RSAPrivateKey
) -> Iterator[Product]:
    """Return the product, told to trust the key `cluster-1` of another cluster."""
    running = Product(tmp_path_factory.mktemp("tokens"), workers="2")
    folder = running.data_dir / "trusted_keys"
    folder.mkdir(parents=True)
    (folder / "cluster-1.pem").write_bytes(_public_pem(cluster_key))
    with running:
        yield running


def _ask(product: Product, method: str, path: str, token: str = "", body: str = "") -> Reply:
    host = product.rest_url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=20)) as connection:
        connection.request(method, path, body or None, {"x-auth-token": token} if token else {})
        answer = connection.getresponse()
        return Reply(answer.status, {}, answer.read())


def _log_in(product: Product) -> str:
    body = json.dumps({"data": {"api_key": product.api_key}})
    token: str = _ask(product, "PUT", "/v2/api_auth", body=body).json["auth_token"]
    return token


def _kazoo_token(key: rsa.RSAPrivateKey, account_id: str, **claims: object) -> str:
    """Return a token as Kazoo's kz_auth_jwt.erl makes it."""
    wanted = {
        "iss": "kazoo",
        "identity_sig": "b1ff",
        "account_id": account_id,
        "method": "cb_user_auth",
        "owner_id": "0" * 32,
        "exp": int(time.time()) + 3600,
        **claims,
    }
    return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": "cluster-1"}, wanted, _private(key))


def test_tokens_of_a_trusted_cluster_are_good_for_accounts_of_the_same_id(
    product: Product, cluster_key: rsa.RSAPrivateKey
) -> None:
    path, mine = f"/v2/accounts/{product.account_id}/media", product.account_id
    for token, status in (
        (_kazoo_token(cluster_key, mine), 200),
        (_kazoo_token(cluster_key, "0" * 32), 401),
        (_kazoo_token(cluster_key, mine, exp=int(time.time()) - 1), 401),
        (_kazoo_token(cluster_key, mine, iss="other"), 401),
        (_kazoo_token(_key(), mine), 401),
    ):
        assert _ask(product, "GET", path, token).status == status


def test_a_token_outlives_a_restart_and_the_key_that_signed_it(product: Product) -> None:
    path, token = f"/v2/accounts/{product.account_id}/media", _log_in(product)
    product.stop()
    (product.data_dir / "signing-key.pem").unlink()
    product.start()
    assert _ask(product, "GET", path, token).status == 200
    new = _log_in(product)
    assert _parts(new)[0]["kid"] != _parts(token)[0]["kid"]
    assert _ask(product, "GET", path, new).status == 200


def test_keys_and_tokens_are_never_logged(product: Product) -> None:
    token, path = _log_in(product), f"/v2/accounts/{product.account_id}/media"
    wrong_key, credentials = "5ec7e7" + "0" * 58, hashlib.md5(b"ann:s3cret").hexdigest()
    signature = "5e" + "0" * 30
    bodies = {
        "envelope": json.dumps({"auth_token": token, "data": {"name": "x"}}),
        "broken": json.dumps({"auth_token": token, "data": {"name": 7}}),
        "key": json.dumps({"data": {"api_key": wrong_key}}),
        "user": json.dumps({"data": {"credentials": credentials, "account_name": "x"}}),
    }
    sent = [
        _ask(product, "GET", path, token).status,
        _ask(product, "GET", f"{path}?auth_token={token}").status,
        _ask(product, "GET", f"{path}?AUTH-Token={token}&auth_token={token}x").status,
        _ask(product, "GET", f"{path}/none?auth_token={token}").status,
        _ask(product, "PUT", path, body=bodies["envelope"]).status,
        _ask(product, "PUT", path, body=bodies["broken"]).status,
        _ask(product, "PUT", "/v2/api_auth", body=bodies["key"]).status,
        _ask(product, "PUT", f"/v2/api_auth?api_key={wrong_key}", body=bodies["key"]).status,
        _ask(product, "PUT", "/v2/user_auth", body=bodies["user"]).status,
        _ask(product, "GET", f"/v3/none?auth_token={token}").status,
        _ask(product, "GET", f"{path}/none/raw/a.mp3?key={wrong_key}").status,
        _ask(product, "GET", f"/media/system/a.mp3?sig={signature}.mp3").status,
    ]
    assert sent == [200, 200, 401, 404, 201, 400, 401, 401, 401, 404, 401, 404]
    product.stop()
    log = product.log() + product.output()
    assert log.count("access") >= len(sent)
    for secret in (token, token.split(".")[2], wrong_key, credentials, signature, product.api_key):
        assert secret not in log
