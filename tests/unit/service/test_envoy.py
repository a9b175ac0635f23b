"""Envoy's file and its overlay."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kazoo_media.config import Config
from kazoo_media.resources import gateway_folder
from kazoo_media.service.envoy import find_envoy, main, overlaid, write_configuration
from kazoo_media.start_error import StartError

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


def test_the_overlay_changes_addresses_sockets_paths_and_limits_only() -> None:
    variables = {"HOST": "::1", "HTTP_PORT": "1234", "ENVOY_HEAP_MIB": "300"}
    config = Config.from_environ({f"KAZOO_MEDIA_{key}": text for key, text in variables.items()})
    limits = ".overload_manager.resource_monitors.typed_config"
    listeners, clusters = ".static_resources.listeners", ".static_resources.clusters"
    manager = f"{listeners}.filter_chains.filters.typed_config"
    filters = f"{manager}.http_filters.typed_config"
    assert difference(document(), overlaid(document(), config, Path("/run/x"), SOCKETS)) == {
        ".admin.address.pipe.path",
        f"{limits}.max_heap_size_bytes",
        f"{limits}.max_active_downstream_connections",
        f"{listeners}.address.socket_address.address",
        f"{listeners}.address.socket_address.port_value",
        f"{manager}.xff_num_trusted_hops",
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
    command = [str(find_envoy(None)), "--mode", "validate", "-c", str(path), "-l", "warning"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0


def program(folder: Path, output: str) -> Path:
    path = folder / "envoy"
    path.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo '{output}'\n")
    path.chmod(0o755)
    return path


def test_the_bundled_envoy_passes_as_a_configured_one() -> None:
    bundled = find_envoy(None)
    assert find_envoy(bundled) == bundled


@pytest.mark.parametrize("version", ["1.40.0", "1.40.2-dev", "1.41.0", "2.0.1"])
def test_another_envoy_of_the_version_or_later_is_taken(tmp_path: Path, version: str) -> None:
    other = program(
        tmp_path, f"{tmp_path}/envoy  version: 9e558093/{version}/Clean/RELEASE/BoringSSL"
    )
    assert find_envoy(other) == other


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("envoy  version: 9e558093/1.39.4/Clean/RELEASE/BoringSSL", "Envoy 1.39 is too old"),
        ("envoy  version: 9e558093/0.50.0/Clean/RELEASE/BoringSSL", "Envoy 0.50 is too old"),
        ("nginx version: nginx/1.40.0", "not an Envoy"),
        ("", "not an Envoy"),
    ],
)
def test_what_can_not_run_the_gateway_is_refused_by_name(
    tmp_path: Path, output: str, message: str
) -> None:
    other = program(tmp_path, output)
    with pytest.raises(StartError) as failed:
        find_envoy(other)
    assert str(failed.value).startswith(f"KAZOO_MEDIA_ENVOY={other}: {message}")


def test_a_file_that_is_not_a_program_is_refused(tmp_path: Path) -> None:
    other = program(tmp_path, "")
    other.chmod(0o644)
    with pytest.raises(StartError, match="Permission denied"):
        find_envoy(other)


def test_without_the_extra_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(
        StartError, match=r"pip install 'kazoo-media\[gateway\]'.*KAZOO_MEDIA_ENVOY"
    ):
        find_envoy(None)
