"""The files of `deploy/`: their own tools accept them, and the service accepts what they set."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from kazoo_media.config import Config
from tests.support.watching import DEPLOY

_ROOT = DEPLOY.parent
_CONTAINERFILE = DEPLOY / "Containerfile"
_COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
_MANIFESTS = DEPLOY / "kubernetes" / "kazoo-media.yaml"
_KINDS: dict[str, Any] = {
    each["kind"]: each for each in yaml.safe_load_all(_MANIFESTS.read_text()) if each
}
_POD: dict[str, Any] = _KINDS["StatefulSet"]["spec"]["template"]["spec"]
_UNIT = DEPLOY / "systemd" / "kazoo-media.service"
_INTERPOLATED = re.compile(r"\$\{\w+(:\?[^}]*)?\}")


def output_of(*command: str | Path) -> str:
    """Return all output of a program that ends with code 0."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def script(name: str) -> Path:
    return Path(sysconfig.get_path("scripts")) / name


def drain_s(variables: Mapping[str, str]) -> float:
    """Return the drain time of a service with these variables; the start accepts them."""
    known = {name: value for name, value in variables.items() if name.startswith("KAZOO_MEDIA_")}
    assert known
    return Config.from_environ(known).drain_s


def container_variables() -> dict[str, str]:
    text = _CONTAINERFILE.read_text()
    return dict(re.findall(r"^(?:ENV|   ) (KAZOO_MEDIA_\w+)=(\S+)", text, re.MULTILINE))


def pod_variables() -> dict[str, str]:
    """Return the variables of the pod; those from elsewhere get a value of their kind."""
    elsewhere = {"KAZOO_MEDIA_METADATA_URL": "postgresql://a@b/c"}
    found = {
        each["name"]: each.get("value") or elsewhere.get(each["name"], "x")
        for each in _POD["containers"][0]["env"]
    }
    return container_variables() | found


def test_hadolint_accepts_the_containerfile() -> None:
    assert output_of(script("hadolint"), _CONTAINERFILE) == ""


def test_the_image_is_built_from_files_that_exist_and_are_sent_to_the_builder() -> None:
    sent = set(re.findall(r"^!(\S+)", (_ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = re.findall(r"^COPY ([^-].*) \S+$", _CONTAINERFILE.read_text(), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert names == sent
    assert [name for name in names if not (_ROOT / name).exists()] == []
    installed = re.search(r"^SYSTEM_PACKAGES := (.*)$", (_ROOT / "Makefile").read_text(), re.M)
    assert installed is not None
    assert set(installed[1].split()) <= set(_CONTAINERFILE.read_text().split())


def test_kubernetes_accepts_the_manifests() -> None:
    output_of(script("kubernetes-validate"), "--strict", _MANIFESTS)


def test_the_pods_are_found_by_everything_that_is_about_them() -> None:
    labels = _KINDS["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec = _KINDS[kind]["spec"]
        selector = spec.get("podSelector") or spec["selector"]
        assert selector.get("matchLabels", selector) == labels
    assert _KINDS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["kind"] == "StatefulSet"
    [container] = _POD["containers"]
    ports = {each["name"] for each in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        [port] = [
            action["port"] for action in container[probe].values() if isinstance(action, dict)
        ]
        assert port in ports


def test_a_pod_has_the_time_to_drain() -> None:
    pause_s = float(_POD["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = drain_s(pod_variables())
    assert _POD["terminationGracePeriodSeconds"] >= pause_s + drain + 10


def test_compose_has_three_nodes_with_names_and_folders_of_their_own() -> None:
    found = PyCompose.from_yaml(yaml.safe_dump(_COMPOSE))
    assert found.services is not None
    nodes = {name for name in found.services if name.startswith("node-")}
    assert len(nodes) == 3
    for name in nodes:
        service = _COMPOSE["services"][name]
        variables = {
            key: _INTERPOLATED.sub("x", value) for key, value in service["environment"].items()
        }
        assert variables["KAZOO_MEDIA_NODE_NAME"] == name
        assert service["volumes"] == [f"{name}:/data"]
        grace_s = float(service["stop_grace_period"].removesuffix("s"))
        assert grace_s >= drain_s(container_variables() | variables) + 10
    asked = set(re.findall(r"\$\{(\w+)", str(_COMPOSE)))
    example = (DEPLOY / ".env.example").read_text()
    assert asked == set(re.findall(r"^(\w+)=$", example, re.MULTILINE))


def test_the_front_knows_every_node_and_they_trust_it() -> None:
    mounted = DEPLOY / _COMPOSE["services"]["front"]["volumes"][0].partition(":")[0]
    for name in ("node-1", "node-2", "node-3"):
        assert len(re.findall(rf"address: {name}\b", mounted.read_text())) == 2
        assert _COMPOSE["services"][name]["environment"]["KAZOO_MEDIA_TRUSTED_HOPS"] == "1"


@pytest.fixture
def unit() -> str:
    return _UNIT.read_text()


def test_systemd_accepts_the_unit(unit: str, tmp_path: Path) -> None:
    installed = "/opt/kazoo-media/bin/kazoo-media"
    assert f"ExecStart={installed} serve\n" in unit
    path = tmp_path / _UNIT.name
    path.write_text(unit.replace(installed, "/bin/true"))
    # Its exit code is 0 for names and values that it does not know.
    assert output_of("systemd-analyze", "verify", path) == ""


def test_systemd_waits_for_the_drain(unit: str) -> None:
    variables = dict(re.findall(r"^Environment=(\w+)=(.*)$", unit, re.MULTILINE))
    wait_s = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert wait_s is not None
    assert float(wait_s[1]) >= drain_s(variables) + 10
