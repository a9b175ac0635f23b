"""GET of one document, as often as it goes."""

from __future__ import annotations

from tests.bench.get_load import CONNECTIONS, gets_per_second
from tests.bench.http_load import Endpoint, create_media
from tests.bench.services import Services
from tests.bench.table import Better, Contest, Line, Sample

_SECONDS = 3


class Metadata:
    """The contest; each side answers for one media."""

    def __init__(self, services: Services) -> None:
        """Keep the sides."""
        self._services = services
        self._paths: dict[int, str] = {}

    def contest(self) -> Contest:
        """Return it."""
        sides = {
            "ours": lambda: self._measured(self._services.plain.endpoint),
            "starlette": lambda: self._measured(self._services.peers.endpoint),
        }
        title = f"GET metadata, {CONNECTIONS} connections"
        return Contest("metadata", sides, [Line(title, "per_s", "/s", Better.MORE, 0.25)])

    def _measured(self, endpoint: Endpoint) -> Sample:
        if endpoint.port not in self._paths:
            self._paths[endpoint.port] = f"{endpoint.media_path}/{create_media(endpoint)}"
        return {"per_s": gets_per_second(endpoint, self._paths[endpoint.port], _SECONDS)}
