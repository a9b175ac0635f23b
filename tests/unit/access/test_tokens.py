"""Tokens: what is accepted and what is not."""

from __future__ import annotations

import base64
import hmac
import stat
import time
from pathlib import Path

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey

from kazoo_media.access.tokens import Tokens, load_private_key
from kazoo_media.errors import InvalidCredentialsError
from tests.support.core_fixtures import private_key
from tests.support.memory_metadata import MemoryMetadataStore

_ACCOUNT = "a" * 32


def _rsa_key(key: rsa.RSAPrivateKey) -> RSAKey:
    return RSAKey.import_key(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture
async def tokens() -> Tokens:
    made = Tokens(MemoryMetadataStore(), private_key())
    await made.publish()
    return made


def _parts(token: str) -> tuple[dict[str, object], dict[str, object]]:
    def decode(part: str) -> dict[str, object]:
        decoded: dict[str, object] = orjson.loads(
            base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        )
        return decoded

    head, body, _ = token.split(".")
    return decode(head), decode(body)


async def test_an_issued_token_verifies_to_its_claims(tokens: Tokens) -> None:
    token, expires_s = tokens.issue(_ACCOUNT, 3)
    claims = await tokens.verify(token)
    assert (claims.account_id, claims.key_generation, claims.expires_s) == (_ACCOUNT, 3, expires_s)
    header, body = _parts(token)
    assert header["alg"] == "RS256"
    assert body["iss"] == "kazoo"


async def test_every_node_verifies_the_tokens_of_every_other() -> None:
    store = MemoryMetadataStore()
    first = Tokens(store, private_key())
    second = Tokens(store, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    await first.publish()
    await second.publish()
    assert (await second.verify(first.issue(_ACCOUNT, 1)[0])).account_id == _ACCOUNT
    assert (await first.verify(second.issue(_ACCOUNT, 1)[0])).account_id == _ACCOUNT


async def test_a_node_that_joins_later_is_trusted_without_a_restart() -> None:
    store = MemoryMetadataStore()
    first = Tokens(store, private_key())
    await first.publish()
    await first.verify(first.issue(_ACCOUNT, 1)[0])
    late = Tokens(store, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    await late.publish()
    assert (await first.verify(late.issue(_ACCOUNT, 1)[0])).account_id == _ACCOUNT


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "....", "é.é.é", "e30.e30.e30", "bnVsbA.e30.x"]
)
async def test_nonsense_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(InvalidCredentialsError):
        await tokens.verify(token)


async def test_forged_tokens_are_refused(tokens: Tokens) -> None:
    good, _ = tokens.issue(_ACCOUNT, 1)
    header, claims = _parts(good)
    other_key = _rsa_key(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    public_pem = (
        private_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    def unsigned(algorithm: str) -> str:
        head = base64.urlsafe_b64encode(orjson.dumps({**header, "alg": algorithm})).rstrip(b"=")
        return f"{head.decode()}.{good.split('.')[1]}."

    hs256 = unsigned("HS256").rstrip(".")
    signature = base64.urlsafe_b64encode(hmac.digest(public_pem, hs256.encode(), "sha256"))
    forged = {
        "signed by a stranger": jwt.encode(header, claims, other_key),
        "no signature": unsigned("none"),
        "signature left out": unsigned("RS256"),
        "HS256 with the public key": f"{hs256}.{signature.decode().rstrip('=')}",
        "another account in the body": ".".join(
            (good.split(".")[0], tokens.issue("b" * 32, 1)[0].split(".")[1], good.split(".")[2])
        ),
    }
    accepted = [name for name, token in forged.items() if await _is_accepted(tokens, token)]
    assert accepted == []


async def _is_accepted(tokens: Tokens, token: str) -> bool:
    try:
        await tokens.verify(token)
    except InvalidCredentialsError:
        return False
    return True


async def test_expired_and_foreign_tokens_are_refused(tokens: Tokens) -> None:
    good, _ = tokens.issue(_ACCOUNT, 1)
    header, claims = _parts(good)
    key = _rsa_key(private_key())
    for changes in ({"exp": int(time.time()) - 1}, {"iss": "somebody"}, {"exp": None}):
        with pytest.raises(InvalidCredentialsError):
            await tokens.verify(jwt.encode(header, {**claims, **changes}, key))


async def test_a_token_that_was_verified_before_still_expires(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, expires_s = tokens.issue(_ACCOUNT, 1)
    await tokens.verify(token)
    monkeypatch.setattr("kazoo_media.access.tokens.time.time", lambda: float(expires_s))
    with pytest.raises(InvalidCredentialsError):
        await tokens.verify(token)


@pytest.fixture
async def cluster() -> tuple[Tokens, RSAKey]:
    """Return tokens that trust the key `theirs` of another cluster, and that key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    tokens = Tokens(MemoryMetadataStore(), private_key(), {"theirs": pem.decode()})
    await tokens.publish()
    return tokens, _rsa_key(key)


@pytest.mark.parametrize("own", [True, False], ids=["own", "of another cluster"])
async def test_a_token_is_valid_from_nbf_to_exp(
    cluster: tuple[Tokens, RSAKey], monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    tokens, their_key = cluster
    header, body = _parts(tokens.issue(_ACCOUNT, 1)[0])
    body |= {"nbf": 2_000_000_000.5, "exp": 2_000_000_060}
    if not own:
        header["kid"] = "theirs"
    token = jwt.encode(header, body, _rsa_key(private_key()) if own else their_key)
    accepted = {}
    for now_s in (2_000_000_000.0, 2_000_000_000.5, 2_000_000_059.0, 2_000_000_060.0):
        monkeypatch.setattr("kazoo_media.access.tokens.time.time", lambda now_s=now_s: now_s)
        accepted[now_s - 2_000_000_000] = await _is_accepted(tokens, token)
    assert accepted == {0.0: False, 0.5: True, 59.0: True, 60.0: False}


@pytest.mark.parametrize("claims", [{"nbf": None}, {"nbf": "soon"}, {"nbf": [1]}, {"exp": 1e999}])
async def test_times_that_are_not_numbers_are_refused(
    cluster: tuple[Tokens, RSAKey], claims: dict[str, object]
) -> None:
    tokens, their_key = cluster
    body = {"iss": "kazoo", "account_id": _ACCOUNT, "exp": int(time.time()) + 60}
    header = {"alg": "RS256", "kid": "theirs"}
    assert await _is_accepted(tokens, jwt.encode(header, body, their_key))
    assert not await _is_accepted(tokens, jwt.encode(header, body | claims, their_key))


def test_a_private_key_file_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "signing-key.pem"
    first = load_private_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_private_key(path).private_numbers() == first.private_numbers()
    assert [each.name for each in tmp_path.iterdir()] == ["signing-key.pem"]
