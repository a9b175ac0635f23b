"""A client generated for TypeScript: it compiles, uploads and downloads. `make test-typescript`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.audio_samples import tone
from tests.support.product import Product

_ROOT = Path(__file__).parents[2]
_SOURCES = ("package.json", "package-lock.json", ".npmrc", "tsconfig.json", "call.ts")


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_a_generated_client_type_checks_and_transfers(tmp_path: Path) -> None:
    for name in _SOURCES:
        shutil.copy(Path(__file__).with_name(name), tmp_path)
    run(["npm", "ci", "--no-audit", "--no-fund"], tmp_path)
    plugins = tmp_path / "node_modules/.bin"
    buf = Path(sys.executable).with_name("buf")
    run([buf, "generate", "-o", tmp_path], _ROOT / "proto", plugins)
    run([plugins / "tsc"], tmp_path)
    audio = tmp_path / "tone.wav"
    audio.write_bytes(tone(seconds=20))
    (tmp_path / "product").mkdir()
    with Product(tmp_path / "product") as product:
        access = [product.grpc_target, product.api_key, product.account_id]
        output = run(["node", "build/call.js", *access, audio], tmp_path)
    assert output == f"audio/x-wav {audio.stat().st_size}\n"


def run(command: list[object], folder: Path, plugins: Path | None = None) -> str:
    path = os.pathsep.join([*([str(plugins)] if plugins else []), os.environ["PATH"]])
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
