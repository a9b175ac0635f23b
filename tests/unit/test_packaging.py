"""The locks agree with pyproject.toml, with each other and with THIRD-PARTY.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[2]
_LOCKS = sorted((_ROOT / "requirements").glob("*.txt"))
_PROJECT: dict[str, Any] = tomllib.loads((_ROOT / "pyproject.toml").read_text())


def locked(lock: Path) -> dict[str, str]:
    """Return the versions by package, without Windows' own; check that each has hashes."""
    versions: dict[str, str] = {}
    for entry in lock.read_text().replace("\\\n", " ").splitlines():
        requirement, _, hashes = entry.partition(" --hash=")
        parsed = Requirement(requirement)
        [version] = parsed.specifier
        assert version.operator == "=="
        assert hashes.startswith("sha256:"), f"{entry} has no hashes"
        if "win32" in str(parsed.marker):
            continue
        versions[canonicalize_name(parsed.name)] = version.version
    return versions


def test_the_locks_name_no_registry() -> None:
    assert [lock.name for lock in _LOCKS if "//" in lock.read_text()] == []


def test_a_package_has_one_version_in_all_locks() -> None:
    versions: dict[str, set[str]] = {}
    for lock in _LOCKS:
        if lock.name not in {"tools.txt", "generator.txt"}:  # of environments of their own
            for name, version in locked(lock).items():
                versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
    family = {name: found for name, found in versions.items() if name.startswith("grpcio")}
    assert len(family) == 5
    assert len(set.union(*family.values())) == 1


def test_what_builds_a_wheel_is_what_the_lock_has() -> None:
    build = locked(_ROOT / "requirements/build.txt")
    wanted = [Requirement(each) for each in _PROJECT["build-system"]["requires"]]
    assert all(str(each.specifier) == f"=={build[each.name]}" for each in wanted)
    assert _PROJECT["build-system"]["requires"] == _PROJECT["dependency-groups"]["build"]


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [
        ("serve", _PROJECT["project"]["dependencies"]),
        ("serve", [*_PROJECT["project"]["optional-dependencies"].values()]),
        ("test", _PROJECT["dependency-groups"]["dev"]),
        ("bench", _PROJECT["dependency-groups"]["bench"]),
        ("call", _PROJECT["dependency-groups"]["call"]),
        ("tools", _PROJECT["dependency-groups"]["tools"]),
    ],
)
def test_a_lock_has_what_the_project_requires(lock: str, requirements: list[Any]) -> None:
    versions = locked(_ROOT / f"requirements/{lock}.txt")
    flat = [
        each for entry in requirements for each in ([entry] if isinstance(entry, str) else entry)
    ]
    for requirement in map(Requirement, flat):
        if requirement.name != "kazoo-media":
            assert versions[canonicalize_name(requirement.name)] in requirement.specifier


def test_third_party_names_what_serving_installs_and_nothing_else() -> None:
    section = (_ROOT / "THIRD-PARTY.md").read_text().split("\n## Python packages\n")[1]
    rows = re.findall(r"^\| ([a-z0-9-]+) \| .+ \| .+ \|$", section.split("\n## ")[0], re.MULTILINE)
    rows.remove("package")
    assert rows == sorted(locked(_ROOT / "requirements/serve.txt"))


def test_the_buf_module_builds_without_a_registry() -> None:
    command = [str(Path(sys.executable).with_name("buf")), "build", "-o", os.devnull]
    built = subprocess.run(command, cwd=_ROOT / "proto", capture_output=True, check=False)
    assert built.returncode == 0, built.stderr
