"""Whether a bucket removes the parts of uploads that nobody completes.

A killed process leaves such parts: they are invisible, and cost space for ever without a rule.
"""

from __future__ import annotations

import urllib.error
import urllib.request

from kazoo_media.blobs.s3_signing import Signer

_TIMEOUT_S = 5.0
_LIFETIME_S = 60
_RULE = b"<AbortIncompleteMultipartUpload>"


def removes_parts(bucket: Signer) -> bool:
    """Return whether a rule of the bucket removes parts of incomplete uploads; blocks.

    Raises:
        OSError: the server does not say.
    """
    url = bucket.get("", {"lifecycle": ""}, _LIFETIME_S)
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the operator's
            return _RULE in answer.read()
    except urllib.error.HTTPError as error:
        if b"NoSuchLifecycleConfiguration" in error.read():
            return False
        raise
