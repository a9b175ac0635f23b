"""Process configuration: `KAZOO_MEDIA_*` environment variables, read once.

Nothing else in the product reads the environment. `variables()` is the one declaration: defaults,
checks and the README's table come from it.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

PREFIX = "KAZOO_MEDIA_"
_SECRET = "***"  # noqa: S105 - shown in place of a secret
_LOOPBACK = "127.0.0.1"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"([\w.=-]+(/[\w.=-]+)*)?", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]+")
_ENDPOINT = re.compile(r"https?://[\w.-]+(:\d+)?/?|https?://\[[0-9a-f:]+\](:\d+)?/?", re.ASCII)
_USER_INFO = re.compile(r"//.*@")


class ConfigError(ValueError):
    """A variable is unknown or has an invalid value. The text names it and the permitted values."""


class Address(NamedTuple):
    """An IP address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable.

    Attributes:
        field: Its name in `Config`; the variable is KAZOO_MEDIA_ and this in upper case.
        kind: Its type, as the README's table shows it.
        default: As a user would type it; "" if there is none.
        help: One sentence.
        secret: Whether the value is hidden wherever the configuration is shown.
    """

    field: str
    kind: str
    default: str
    help: str
    parse: Callable[[str], Any]
    secret: bool = False

    @property
    def name(self) -> str:
        """Return the variable's name."""
        return PREFIX + self.field.upper()


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """A bucket of an S3 server, and where in it the blobs are.

    Attributes:
        text: As it was typed.
        prefix: "" for the bucket itself.
        endpoint: URL of the server; "" for AWS.
        virtual_hosted: Whether the endpoint's host name begins with the bucket.
    """

    text: str
    bucket: str
    prefix: str
    endpoint: str
    region: str
    virtual_hosted: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the bucket that a URL names.

        Raises:
            ValueError: it is not a URL of a bucket.
        """
        url = urlsplit(text)
        options = dict(parse_qsl(url.query, strict_parsing=True)) if url.query else {}
        endpoint = options.pop("endpoint", "")
        region = options.pop("region", "us-east-1")
        virtual_hosted = options.pop("virtual_hosted", "false")
        prefix = url.path.strip("/")
        is_right = (
            url.scheme == "s3"
            and not url.fragment
            and not options
            and virtual_hosted in ("true", "false")
            and _BUCKET.fullmatch(url.netloc)
            and _PREFIX.fullmatch(prefix)
            and _REGION.fullmatch(region)
            and (not endpoint or _ENDPOINT.fullmatch(endpoint))
        )
        if not is_right:
            raise ValueError
        endpoint = endpoint.rstrip("/")
        return cls(text, url.netloc, prefix, endpoint, region, virtual_hosted == "true")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of one process.

    Attributes:
        target: gRPC address that the commands talk to; "" for the one in bootstrap.json.
        api_key: API key of the commands; "" for the one in bootstrap.json.
    """

    data_dir: Path
    metadata_url: str
    host: str
    http_port: int
    grpc_port: int
    trusted_hops: int
    metrics_port: Address | None
    workers: int
    node_name: str
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    envoy: Path | None
    envoy_heap_mib: int
    worker_buffer_mib: int
    converters: frozenset[str]
    blob_url: BucketUrl | None
    cache_bytes: int
    drain_s: int
    target: str
    api_key: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the configuration; empty values count as unset.

        Raises:
            ConfigError: a variable is unknown or has an invalid value, or two variables conflict.
        """
        known = {variable.name: variable for variable in variables()}
        for name in environ:
            if name.startswith(PREFIX) and name not in known:
                raise ConfigError(_unknown(name, known))
        values = {each.field: _value(each, environ.get(each.name, "")) for each in known.values()}
        config = cls(**values)
        _check_together(config)
        return config

    def describe(self) -> dict[str, str]:
        """Return every variable with its value as text, secrets hidden."""
        shown = {}
        for variable in variables():
            value = getattr(self, variable.field)
            shown[variable.name] = _SECRET if variable.secret and value else _text(value)
        return shown

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={value}' for name, value in self.describe().items())})"


def child_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process that the supervisor starts: its own, and additions."""
    return {**os.environ, **additions}


def user_runtime_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the user's private folder for sockets (XDG_RUNTIME_DIR), if there is one.

    Source: XDG Base Directory Specification.
    """
    folder = Path(environ.get("XDG_RUNTIME_DIR", ""))
    return folder if folder.is_absolute() and folder.is_dir() else None


def aws_credentials(environ: Mapping[str, str] = os.environ) -> tuple[str, str, str] | None:
    """Return key id, secret and session token ("": none) of the standard AWS variables, if set."""
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    return (key_id, secret, environ.get("AWS_SESSION_TOKEN", "")) if key_id and secret else None


def variables() -> tuple[Variable, ...]:
    """Return all variables in the order of the README's table."""
    return _VARIABLES


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if text.isascii() and text.isdecimal() and low <= int(text) <= high:
            return int(text)
        raise ValueError(f"an integer from {low} to {high}")

    return parse


def _address(text: str) -> Address | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    try:
        return Address(_host(host.strip("[]") or _LOOPBACK), _integer(1, 65535)(port))
    except ValueError:
        raise ValueError(
            "a port from 1 to 65535, alone or after an IP address of this machine and a colon"
        ) from None


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _file(text: str) -> Path | None:
    if not text:
        return None
    path = _path(text)
    if not path.is_file():
        raise ValueError("the path of an existing file")
    return path


def _host(text: str) -> str:
    try:
        socket.getaddrinfo(text, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        raise ValueError("an IP address of this machine, 0.0.0.0 or :: for all") from None
    return text


def _node_name(text: str) -> str:
    name = text or socket.gethostname()
    if not name.isascii() or not name.isprintable() or set(name) & set('"\\ '):
        raise ValueError("printable ASCII without spaces, quotes or backslashes")
    return name


def _metadata_url(text: str) -> str:
    if text and not text.startswith("postgresql://"):
        raise ValueError("postgresql://USER:PASSWORD@HOST[:PORT][,HOST...]/DATABASE")
    return text


def _names(text: str) -> frozenset[str]:
    names = frozenset(filter(None, (name.strip() for name in text.split(","))))
    if any("/" in name for name in names):
        raise ValueError("file names without folders, separated by commas")
    return names


def _bucket_url(text: str) -> BucketUrl | None:
    try:
        return BucketUrl.parse(text) if text else None
    except ValueError:
        raise ValueError(
            "s3://BUCKET/PREFIX?endpoint=URL&region=NAME&virtual_hosted=true, all but the bucket "
            "optional, with the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None


_VARIABLES = (
    Variable("data_dir", "path", "./var", "Folder for all stored data.", _path),
    Variable(
        "metadata_url",
        "URL",
        "",
        "PostgreSQL database, `postgresql://...`; unset: SQLite in the data folder.",
        _metadata_url,
        secret=True,
    ),
    Variable("host", "IP address", _LOOPBACK, "Address on which both ports listen.", _host),
    Variable("http_port", "1-65535", "8000", "Port of the REST surface.", _integer(1, 65535)),
    Variable("grpc_port", "1-65535", "50051", "Port of the gRPC surface.", _integer(1, 65535)),
    Variable(
        "trusted_hops",
        "0-8",
        "0",
        "Proxies in front whose `x-forwarded-for` and `x-forwarded-proto` are believed.",
        _integer(0, 8),
    ),
    Variable(
        "metrics_port",
        "[address:]port",
        "",
        "Port of the Prometheus metrics, on 127.0.0.1 without an address; unset: no metrics.",
        _address,
    ),
    Variable("workers", "1-64", "1", "Number of worker processes.", _integer(1, 64)),
    Variable(
        "node_name", "text", "", "Name of this node in answers; unset: the host name.", _node_name
    ),
    Variable(
        "tls_cert", "path", "", "Certificate chain (PEM); if set, both ports require TLS.", _file
    ),
    Variable("tls_key", "path", "", "Private key of the certificate (PEM).", _file),
    Variable(
        "tls_client_ca",
        "path",
        "",
        "CA certificate (PEM); if set, the gRPC port requires client certificates signed by it.",
        _file,
    ),
    Variable(
        "envoy",
        "path",
        "",
        "Envoy executable, version 1.40 or later; unset: the one from the extra `[gateway]`.",
        _file,
    ),
    Variable(
        "envoy_heap_mib",
        "256-65536",
        "1024",
        "MiB that Envoy may allocate; above, it refuses requests until it has less.",
        _integer(256, 65536),
    ),
    Variable(
        "worker_buffer_mib",
        "16-65536",
        "256",
        "MiB of incomplete requests that a worker holds; above, it refuses further ones.",
        _integer(16, 65536),
    ),
    Variable(
        "converters",
        "names, comma-separated",
        "sox",
        "Programs that the settings `normalize_executable` and `tts_command` may name.",
        _names,
    ),
    Variable(
        "blob_url",
        "URL",
        "",
        "Bucket for all audio, `s3://BUCKET/PREFIX?endpoint=URL`; unset: the data folder.",
        _bucket_url,
    ),
    Variable(
        "cache_bytes",
        "0-1125899906842624",
        "1073741824",
        "Bytes of the data folder that keep audio from the bucket; 0: none.",
        _integer(0, 1 << 50),
    ),
    Variable(
        "drain_s",
        "0-3600",
        "30",
        "Seconds for which a stop waits for running transfers.",
        _integer(0, 3600),
    ),
    Variable(
        "target",
        "host:port",
        "",
        "gRPC address for client commands; unset: the one in bootstrap.json.",
        str,
    ),
    Variable(
        "api_key",
        "text",
        "",
        "API key for client commands; unset: the one in bootstrap.json.",
        str,
        secret=True,
    ),
)


def _value(variable: Variable, given: str) -> Any:  # noqa: ANN401 - each variable has its type
    try:
        return variable.parse(given or variable.default)
    except ValueError as error:
        # Where a URL has a password it is refused, and must not be repeated.
        shown = _SECRET if variable.secret else repr(_USER_INFO.sub(f"//{_SECRET}@", given))
        raise ConfigError(f"{variable.name}={shown}: must be {error}") from None


def _check_together(config: Config) -> None:
    if (config.tls_cert is None) != (config.tls_key is None):
        raise ConfigError("KAZOO_MEDIA_TLS_CERT and KAZOO_MEDIA_TLS_KEY: set both or neither")
    if config.tls_client_ca and not config.tls_cert:
        raise ConfigError(
            "KAZOO_MEDIA_TLS_CLIENT_CA requires KAZOO_MEDIA_TLS_CERT and KAZOO_MEDIA_TLS_KEY"
        )
    ports = {"HTTP": config.http_port, "GRPC": config.grpc_port}
    if config.metrics_port:
        ports["METRICS"] = config.metrics_port.port
    for (one, port), (other, same) in itertools.combinations(ports.items(), 2):
        if port == same:
            raise ConfigError(
                f"KAZOO_MEDIA_{one}_PORT and KAZOO_MEDIA_{other}_PORT are both {port}: "
                "use two different ports"
            )


def _unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known variables: {', '.join(known)}"
    return f"{name}: unknown variable; {hint}"


def _text(value: object) -> str:
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    return "" if value is None else str(value)
