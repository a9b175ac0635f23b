"""Tokens: RS256 JWTs, signed with a node's own private key, verified with any node's public key.

Source: RFC 7519; Kazoo kz_auth_jwt.erl for the claims `iss`, `account_id`, `exp` and header `kid`.
"""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from kazoo_media import durable
from kazoo_media.errors import InvalidCredentialsError
from kazoo_media.metadata.store import KeyStore
from kazoo_media.model import SigningKey, unix_time_ms
from kazoo_media.start_error import StartError

TOKEN_LIFETIME_S = 3600
ISSUER = "kazoo"
_CACHED_TOKENS = 10_000


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a valid token.

    Attributes:
        key_generation: Generation of the account's API key when the token was issued; None in a
            token of another cluster.
        expires_s: Unix time in seconds.
        not_before_s: Unix time in seconds from which the token is valid.
    """

    account_id: str
    key_generation: int | None
    expires_s: int
    not_before_s: float


def load_private_key(path: Path) -> rsa.RSAPrivateKey:
    """Return the key in a PEM file; create the file durably if it does not exist.

    Blocking: for start-up only. Processes that start at the same time get the same key.

    Raises:
        StartError: the file holds no RSA key.
        OSError: it cannot be read or created.
    """
    if not path.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        durable.create_file(path, _private_pem(key))
    pem = path.read_bytes()
    problem = "not an RSA key in PEM form without a password" if pem else "empty"
    try:
        loaded = serialization.load_pem_private_key(pem, password=None)
        if isinstance(loaded, rsa.RSAPrivateKey):
            return loaded
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: a password is needed
        pass
    remedy = "restore it, or remove it to have a new one made"
    raise StartError.about(path, problem, remedy)


def load_trusted_keys(folder: Path) -> dict[str, str]:
    """Return the public keys (PEM) in a folder by kid; the file names are `<kid>.pem`.

    Blocking: for start-up only. A folder that does not exist has no keys.

    Raises:
        StartError: a file holds no RSA key.
        OSError: a file cannot be read.
    """
    return {path.stem: _trusted_pem(path) for path in sorted(folder.glob("*.pem"))}


def _trusted_pem(path: Path) -> str:
    try:
        pem = path.read_text()
        RSAKey.import_key(pem)
    except (ValueError, TypeError, JoseError, UnsupportedAlgorithm) as error:
        raise StartError.about(
            path, "not an RSA public key in PEM form", "replace it, or remove it"
        ) from error
    return pem


def _private_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class Tokens:
    """Signs tokens with the key of this node and verifies them with the keys of all nodes."""

    def __init__(
        self,
        store: KeyStore,
        private_key: rsa.RSAPrivateKey,
        trusted_keys: Mapping[str, str] | None = None,
    ) -> None:
        """Sign and verify with these keys.

        Args:
            store: Has the public keys of all nodes.
            private_key: The key of this node.
            trusted_keys: Public keys (PEM) of another Kazoo cluster by kid. Its tokens are valid
                here for accounts with the same id.
        """
        public = private_key.public_key()
        der = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        digest = hashes.Hash(hashes.SHA256())
        digest.update(der)
        self._store = store
        self._kid = digest.finalize().hex()[:32]
        self._signing_key = RSAKey.import_key(_private_pem(private_key))
        self._public_pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
        self._trusted_keys = {
            kid: RSAKey.import_key(pem) for kid, pem in (trusted_keys or {}).items()
        }
        self._verifying_keys: dict[str, RSAKey] = {}
        self._verified: OrderedDict[str, Claims] = OrderedDict()

    async def publish(self) -> None:
        """Store this node's public key, where all nodes find it. Idempotent."""
        await self._store.add_signing_key(SigningKey(self._kid, self._public_pem, unix_time_ms()))

    def issue(self, account_id: str, key_generation: int, owner_id: str = "") -> tuple[str, int]:
        """Return a token and its expiry in Unix seconds.

        Args:
            owner_id: The user who logged in; "": none.
        """
        now = int(time.time())
        expires_s = now + TOKEN_LIFETIME_S
        claims = {
            "iss": ISSUER,
            "account_id": account_id,
            **({"owner_id": owner_id} if owner_id else {}),
            "key_generation": key_generation,
            "iat": now,
            "exp": expires_s,
        }
        header = {"alg": "RS256", "typ": "JWT", "kid": self._kid}
        return jwt.encode(header, claims, self._signing_key), expires_s

    async def verify(self, token: str) -> Claims:
        """Return the claims of a token. The signature of a token is checked once and remembered.

        Raises:
            InvalidCredentialsError: the token is malformed, badly signed, expired or not valid
                yet, or its key or issuer is unknown.
        """
        claims = self._verified.get(token)
        if claims is None:
            claims = await self._verified_claims(token)
            self._verified[token] = claims
            if len(self._verified) > _CACHED_TOKENS:
                self._verified.popitem(last=False)
        now_s = time.time()
        if claims.expires_s <= now_s:
            self._verified.pop(token, None)
        if not claims.not_before_s <= now_s < claims.expires_s:
            raise InvalidCredentialsError
        return claims

    async def _verified_claims(self, token: str) -> Claims:
        try:
            kid = _kid_of(token)
            claims = jwt.decode(token, await self._key(kid), algorithms=["RS256"]).claims
            if claims["iss"] != ISSUER:
                raise InvalidCredentialsError
            own = kid not in self._trusted_keys
            generation = int(claims["key_generation"]) if own else None
            return Claims(
                str(claims["account_id"]),
                generation,
                expires_s=int(claims["exp"]),
                not_before_s=float(claims.get("nbf", 0)),
            )
        except (JoseError, KeyError, ValueError, TypeError, OverflowError) as error:
            raise InvalidCredentialsError from error

    async def _key(self, kid: str) -> RSAKey:
        if kid in self._trusted_keys:
            return self._trusted_keys[kid]
        if kid not in self._verifying_keys:
            for row in await self._store.list_signing_keys():
                self._verifying_keys[row.kid] = RSAKey.import_key(row.public_pem)
        if kid not in self._verifying_keys:
            raise InvalidCredentialsError
        return self._verifying_keys[kid]


def _kid_of(token: str) -> str:
    """Return the key id in a token's header, which is not verified yet."""
    head = token.partition(".")[0]
    header = orjson.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    return str(header["kid"])
