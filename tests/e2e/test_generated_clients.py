"""A client that openapi-python-client generates from the product's own description, used on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.audio_samples import tone
from tests.support.product import Product

pytestmark = pytest.mark.e2e

_GENERATOR = Path(sys.prefix) / "generator" / "bin" / "python"
_AUDIO = tone(2.0)


@pytest.mark.timeout(180)
def test_a_generated_python_client(product: Product, tmp_path: Path) -> None:
    description = tmp_path / "openapi.json"
    with urllib.request.urlopen(f"{product.rest_url}/v2/openapi.json") as answer:
        description.write_bytes(answer.read())
    (tmp_path / "config.json").write_text(json.dumps({"post_hooks": []}))
    command: list[str | Path] = [
        _GENERATOR,
        "-m",
        "openapi_python_client",
        "generate",
        "--meta",
        "none",
    ]
    command += ["--path", description, "--config", tmp_path / "config.json"]
    _run([*command, "--output-path", tmp_path / "kazoo_rest", "--fail-on-warning"])
    audio = tmp_path / "tone.wav"
    audio.write_bytes(_AUDIO)
    script = Path(__file__).with_name("generated_tour.py")
    output = _run([_GENERATOR, script, product.rest_url, product.api_key, audio], tmp_path)
    assert json.loads(output) == {
        "created": ["fr-fr%2Fvm-generated", {"ui": "generated"}],
        "patched": ["Greeting", "Spoken", "fr-fr"],
        "uploaded": ["audio/x-wav", len(_AUDIO)],
        "same": True,
        "part": [206, "RIFF"],
        "listed": [["fr-fr%2Fvm-generated", True]],
        "system": "success",
        "missing": ["ErrorEnvelope", "bad_identifier", "404"],
        "deleted": "fr-fr%2Fvm-generated",
    }


def _run(command: Sequence[str | Path], packages: Path | None = None) -> str:
    environment = os.environ | ({"PYTHONPATH": str(packages)} if packages else {})
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
