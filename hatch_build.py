"""Build hook: generates the Python code and the descriptor set from `proto/`.

Runs for wheels and for editable installs; `make proto` runs it alone. Git ignores generated files.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # `python hatch_build.py` does not need hatchling
    BuildHookInterface = object  # type: ignore[assignment,misc]

ROOT = Path(__file__).parent
PROTO = ROOT / "proto"
PACKAGES = ROOT / "server"
GATEWAY = ROOT / "gateway"
DESCRIPTOR_SET = GATEWAY / "kazoo_media.binpb"
GATEWAY_FILES = ("envoy.yaml", "standalone.yaml", "kazoo.lua", "kazoo_media.binpb")
SERVICES = PACKAGES / "kazoo_media/v1/services.py"
GENERATED_PACKAGES = ("kazoo_media/v1", "kazoo_media/crossbar/v2")


def generate() -> None:
    """Write `*_pb2.py`, `*_pb2_grpc.py`, their type stubs and the descriptor set.

    Raises:
        RuntimeError: protoc rejected a file, or a plugin is missing; messages went to stderr.
    """
    import google.api
    import grpc_tools

    google_api = Path(next(iter(google.api.__path__))).parent.parent
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    command = [sys.executable, "-m", "grpc_tools.protoc"]
    command += [f"-I{PROTO}", f"-I{google_api}", f"-I{well_known}"]
    command += [f"--python_out={PACKAGES}", f"--grpc_python_out={PACKAGES}"]
    command += [f"--mypy_out=quiet:{PACKAGES}", f"--mypy_grpc_out=quiet:{PACKAGES}"]
    command += [
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={DESCRIPTOR_SET}",
    ]
    # Envoy needs these types to convert error details to JSON.
    command += ["google/rpc/error_details.proto", "google/rpc/status.proto"]
    command += sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    (PACKAGES / "google").mkdir(exist_ok=True)
    # protoc looks for mypy-protobuf's plugins on the PATH, where pip puts those of a build.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(command, cwd=PROTO, env={**os.environ, "PATH": path}, check=False)
    _remove_foreign(PACKAGES / "google")
    if done.returncode:
        raise RuntimeError(f"protoc failed with exit code {done.returncode}")
    for package in GENERATED_PACKAGES:
        (PACKAGES / package / "__init__.py").write_text(
            '"""Generated from proto/, never edited."""\n'
        )
    _write_services()


def _write_services() -> None:
    """Write the lists of typed services and their files, for the server and the client."""
    modules = [f"{path.stem}_pb2" for path in sorted(PROTO.glob("kazoo_media/v1/*.proto"))]
    lines = [
        '"""Generated from proto/, never edited."""',
        "",
        "from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor",
        "",
        f"from kazoo_media.v1 import {', '.join(modules)}",
        "",
        "FILES: tuple[FileDescriptor, ...] = tuple(",
        f"    module.DESCRIPTOR for module in ({', '.join(modules)})",
        ")",
        '"""Every file of the API."""',
        "",
        "SERVICES: tuple[ServiceDescriptor, ...] = tuple(",
        "    service",
        "    for file in FILES",
        "    for service in file.services_by_name.values()",
        ")",
        '"""Every typed service."""',
    ]
    SERVICES.write_text("\n".join(lines) + "\n")


def _remove_foreign(folder: Path) -> None:
    """Remove the code generated for Google's files; googleapis-common-protos provides it."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


class GenerateProtobuf(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's build hook; calls `generate`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate before files are collected; add the gateway's files to a wheel.

        An editable install reads them from the checkout.
        """
        generate()
        if self.target_name == "wheel" and version == "standard":
            build_data["force_include"] |= {
                str(GATEWAY / name): f"kazoo_media/gateway/{name}" for name in GATEWAY_FILES
            }


if __name__ == "__main__":
    generate()
