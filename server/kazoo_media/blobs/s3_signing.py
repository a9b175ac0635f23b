"""URLs that carry their own signature.

The client library signs URLs of objects alone, without what the answer should say of its type. So
this is done by hand.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of an S3 server.

    Attributes:
        token: Of a session; "" without one.
    """

    key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs URLs below one URL, that of a bucket or of a folder in it."""

    url: str
    region: str
    credentials: Credentials

    def get(self, path: str, parameters: Mapping[str, str], lifetime_s: int) -> str:
        """Return a URL for a GET.

        Args:
            path: Of an object; "" for the bucket itself.
            parameters: Of the query.
            lifetime_s: At most a week.

        Source: Amazon S3 API reference, "Authenticating requests: using query parameters".
        """
        base = f"{self.url.rstrip('/')}/{path}" if path else self.url
        parts = urlsplit(base)
        time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{time[:8]}/{self.region}/s3/aws4_request"
        signed = {
            **parameters,
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self.credentials.key_id}/{scope}",
            "X-Amz-Date": time,
            "X-Amz-Expires": str(lifetime_s),
            "X-Amz-SignedHeaders": "host",
        }
        if self.credentials.token:
            signed["X-Amz-Security-Token"] = self.credentials.token
        pairs = ((quote(name, _UNRESERVED), quote(signed[name], _UNRESERVED)) for name in signed)
        query = "&".join(f"{name}={value}" for name, value in sorted(pairs))
        object_path = quote(parts.path or "/", f"/{_UNRESERVED}")
        lines = ["GET", object_path, query, f"host:{parts.netloc}", "", "host", "UNSIGNED-PAYLOAD"]
        signature = self._signature(time, scope, "\n".join(lines))
        return f"{parts.scheme}://{parts.netloc}{object_path}?{query}&X-Amz-Signature={signature}"

    def _signature(self, time: str, scope: str, request: str) -> str:
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self.credentials.secret}".encode()
        for text in (*scope.split("/"), f"{_ALGORITHM}\n{time}\n{scope}\n{digest}"):
            key = hmac.digest(key, text.encode(), "sha256")
        return key.hex()
