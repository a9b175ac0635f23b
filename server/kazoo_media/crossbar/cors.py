"""Cross-origin access: browsers may use the API from any origin, always with a token.

Source: Fetch standard.
"""

from __future__ import annotations

from collections.abc import Mapping

from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.operations import Resource

EXPOSED: Mapping[str, str] = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": (
        "x-request-id, etag, location, content-range, content-disposition"
    ),
}
"""Headers of all answers to requests from another origin, and of all errors."""


def preflight(resource: Resource) -> Answer:
    """Return the answer to OPTIONS."""
    verbs = list(resource.allowed)
    if resource.may_tunnel and "POST" not in verbs:
        verbs.append("POST")
    return Answer.whole(
        200,
        b"",
        {
            **EXPOSED,
            "allow": ", ".join(resource.allowed),
            "access-control-allow-methods": ", ".join(verbs),
            "access-control-allow-headers": (
                "content-type, x-auth-token, x-kazoo-cluster-id, if-match, range, x-request-id"
            ),
            "access-control-max-age": "86400",
        },
    )
