"""The published page: every command of it, and every answer as `published_page.md` shows it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.product import Product

_PAGE = Path(__file__).with_name("published_page.md")
_STEP = re.compile(r"```sh\n(.*?)```\n+```(json|text)\n(.*?)```", re.DOTALL)
_PLACEHOLDER = re.compile(r"\\{[A-Z_]+\\}")
_ALWAYS = ("timestamp", "version", "node", "request_id", "auth_token")
_MARK = "\x1e"

pytestmark = pytest.mark.e2e


def test_every_command_answers_as_shown(tmp_path: Path) -> None:
    steps = _STEP.findall(_PAGE.read_text())
    assert len(steps) == _PAGE.read_text().count("```sh\n")
    with Product(tmp_path) as product:
        (tmp_path / "var").symlink_to(product.data_dir)
        outputs = _outputs(product, tmp_path, [command for command, _, _ in steps])
    for (command, kind, shown), output in zip(steps, outputs, strict=True):
        if kind == "json":
            envelope = json.loads(output)
            assert all(envelope.pop(key) for key in _ALWAYS)
            _compare(json.loads(shown), envelope, command)
        else:
            assert re.fullmatch(_pattern(shown.strip()), output.strip()), (command, output)


def _outputs(product: Product, folder: Path, commands: list[str]) -> list[str]:
    """Return what each command prints, all run in one shell."""
    script = f"printf '{_MARK}'\n".join(commands)
    script = script.replace("localhost:8000", product.rest_url.removeprefix("http://"))
    script = script.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.split(_MARK)


def _compare(shown: Any, real: Any, where: str) -> None:
    """Check that two JSON values are the same; `{...}` in a text stands for anything."""
    if isinstance(shown, dict) and isinstance(real, dict):
        assert set(shown) == set(real), where
        for key, value in shown.items():
            _compare(value, real[key], f"{where}: {key}")
    elif isinstance(shown, list) and isinstance(real, list):
        assert len(shown) == len(real), (where, real)
        for one, other in zip(shown, real, strict=True):
            _compare(one, other, where)
    elif isinstance(shown, str) and isinstance(real, str | int | float):
        assert re.fullmatch(_pattern(shown), str(real)), (where, real)
    else:
        assert shown == real, where


def _pattern(shown: str) -> str:
    return _PLACEHOLDER.sub(".+", re.escape(shown))
