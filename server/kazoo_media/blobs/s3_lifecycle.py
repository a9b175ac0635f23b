"""Whether a bucket removes the parts of uploads that nobody completes.

A killed process leaves such parts: they are invisible, and cost space for ever without a rule. The
client library cannot ask for the rules, so this is one signed request by hand.
"""

from __future__ import annotations

import hashlib
import hmac
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

_TIMEOUT_S = 5.0
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_RULE = b"<AbortIncompleteMultipartUpload>"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of an S3 server.

    Attributes:
        token: Of a session; "" without one.
    """

    key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)


def removes_parts(bucket_url: str, region: str, credentials: Credentials) -> bool:
    """Return whether a rule of the bucket removes parts of incomplete uploads; blocks.

    Raises:
        OSError: the server does not say.
    """
    url = urlsplit(f"{bucket_url}?lifecycle=")
    headers = _signed(url, region, credentials, datetime.now(UTC))
    request = urllib.request.Request(url.geturl(), headers=headers)  # noqa: S310 - the operator's
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            return _RULE in answer.read()
    except urllib.error.HTTPError as error:
        if b"NoSuchLifecycleConfiguration" in error.read():
            return False
        raise


def _signed(
    url: SplitResult, region: str, credentials: Credentials, now: datetime
) -> dict[str, str]:
    """Return the headers of a GET.

    Source: Amazon S3 API reference, "Signature calculations for the authorization header".
    """
    time = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": url.netloc, "x-amz-content-sha256": _EMPTY_SHA256, "x-amz-date": time}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
    canonical = "\n".join(["GET", url.path, url.query, *lines, "", names, _EMPTY_SHA256])
    scope = f"{time[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{credentials.secret}".encode()
    for text in scope.split("/"):
        key = hmac.digest(key, text.encode(), "sha256")
    signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}".encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={signature.hex()}"
    )
    return headers
