"""Cross-origin access: browsers may use the API from any origin, always with a token.

Source: Fetch standard.
"""

from __future__ import annotations

from collections.abc import Mapping

from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.openapi.parameters import PARAMETERS
from kazoo_media.crossbar.operations import Resource
from kazoo_media.crossbar.requests import Request
from kazoo_media.crossbar.tus_headers import ABILITIES, ALWAYS, SEEN

EXPOSED: Mapping[str, str] = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": (
        "x-request-id, etag, location, content-range, content-disposition"
    ),
}
"""Headers of all answers to requests from another origin, and of all errors."""


_KAZOO_HEADERS = (
    "Content-Type",
    "Depth",
    "User-Agent",
    "X-Http-Method-Override",
    "X-File-Size",
    "X-Requested-With",
    "If-Modified-Since",
    "X-File-Name",
    "Cache-Control",
    "X-Auth-Token",
    "X-Kazoo-Cluster-ID",
    "If-Match",
)
"""Kazoo allows these. A browser refuses a request with any other, so all must stay allowed.

Source: Kazoo api_util.erl.
"""

_UNDESCRIBED_HEADERS = (
    "Accept",
    "Authorization",
    "X-Auth-Account-ID",
    "X-Pretty-Print",
    "X-Request-ID",
)
"""Read as well, but not parameters in the OpenAPI description, which must not name the first two.

`*` would allow all headers but Authorization. Source: OpenAPI 3.1.0, 4.8.12.
"""


def allowed_headers() -> list[str]:
    """Return the request headers that a browser may send: Kazoo's and all that have an effect."""
    described = [each["name"] for each in PARAMETERS.values() if each["in"] == "header"]
    names = (*_KAZOO_HEADERS, *_UNDESCRIBED_HEADERS, *described)
    return [*{name.lower(): name for name in names}.values()]


def resumable_headers(request: Request) -> Mapping[str, str]:
    """Return the headers of all answers to requests of the tus protocol."""
    if request.verb == "OPTIONS":
        return {**ABILITIES, "access-control-expose-headers": SEEN}
    return {**ALWAYS, "access-control-expose-headers": SEEN}


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
            "access-control-allow-headers": ", ".join(allowed_headers()),
            "access-control-max-age": "86400",
        },
    )
