"""A stand-in for a Kazoo: it issues tokens, and answers who asked for what."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

KID = "kazoo-cluster"


class KazooStandIn:
    """Answers every request with its path, if the token is one that it trusts.

    Attributes:
        trusted: Public keys (PEM) of others whose tokens it takes.
    """

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self.trusted: list[str] = []
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public_pem(self) -> str:
        """Return its public key."""
        return public_pem_of(self._key)

    def token(self) -> str:
        """Return a token of its account."""
        claims = {"iss": "kazoo", "account_id": self.account_id, "exp": int(time.time()) + 3600}
        private = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return jwt.encode({"alg": "RS256", "kid": KID}, claims, RSAKey.import_key(private))

    def answer(self, path: str, token: str) -> tuple[int, Mapping[str, object]]:
        """Return status and envelope of a request."""
        if path.endswith("/user_auth"):
            return 201, {"data": {"account_id": self.account_id}, "auth_token": self.token()}
        for pem in (self.public_pem, *self.trusted):
            try:
                claims = jwt.decode(token, RSAKey.import_key(pem), algorithms=["RS256"]).claims
            except (JoseError, ValueError):
                continue
            return 200, {"data": {"kazoo": path, "account_id": claims["account_id"]}}
        return 401, {"message": "invalid_credentials"}

    @contextmanager
    def serving(self) -> Iterator[int]:
        """Serve and yield the port."""
        kazoo = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", "0")))
                token = self.headers.get("x-auth-token", "")
                status, envelope = kazoo.answer(self.path.partition("?")[0], token)
                body = json.dumps(envelope).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET  # noqa: N815 - the name that the base class looks for

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield server.server_port
            finally:
                server.shutdown()
                thread.join()


def public_pem_of(key: rsa.RSAPrivateKey) -> str:
    """Return the public half of a key."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
