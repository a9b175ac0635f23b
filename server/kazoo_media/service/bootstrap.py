"""`bootstrap.json`: how commands on this machine reach the service, and the master account."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from kazoo_media import durable
from kazoo_media.config import Config, ConfigError

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound here, replaced


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The content of `bootstrap.json`.

    Attributes:
        rest_url: Without a path and a trailing slash; https with TLS. "" if only gRPC is served.
        grpc_target: host:port, or unix:path.
    """

    account_id: str
    api_key: str
    rest_url: str
    grpc_target: str

    @classmethod
    def new(cls, config: Config, account_id: str, api_key: str) -> Self:
        """Return the content for a service with this configuration."""
        host = _reachable(config.host)
        scheme = "https" if config.tls_cert else "http"
        return cls(
            account_id=account_id,
            api_key=api_key,
            rest_url=f"{scheme}://{host}:{config.http_port}",
            grpc_target=f"{host}:{config.grpc_port}",
        )

    @classmethod
    def of_worker(cls, address: str, account_id: str, api_key: str) -> Self:
        """Return the content for a worker that listens on this address."""
        host, colon, port = address.rpartition(":")
        if not address.startswith("unix:"):
            address = f"{_reachable(host.strip('[]'))}{colon}{port}"
        return cls(account_id, api_key, rest_url="", grpc_target=address)

    @staticmethod
    def path(data_dir: Path) -> Path:
        """Return the path of the file."""
        return data_dir / "bootstrap.json"

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """Return the file's content, or None if there is no file.

        Raises:
            ConfigError: the content is damaged.
            OSError: the file cannot be read.
        """
        path = cls.path(data_dir)
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{path}: damaged ({error}): restore it, or remove it and set KAZOO_MEDIA_API_KEY "
                "for commands"
            ) from error

    def write(self, data_dir: Path) -> None:
        """Replace the file durably."""
        text = json.dumps(asdict(self), indent=2)
        durable.replace_file(self.path(data_dir), f"{text}\n".encode())


def _reachable(host: str) -> str:
    host = _WILDCARDS.get(host, host)
    return f"[{host}]" if ":" in host else host
