"""The README: what it shows works as shown."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kazoo_media.config import variables
from tests.support.product import Product

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text()
_MARK = "\x1e"

pytestmark = pytest.mark.e2e


def _blocks(heading: str, language: str) -> list[str]:
    section = _README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return [text for found, text in blocks if found == language]


def _run(product: Product, folder: Path, script: str) -> str:
    """Run a script as a reader would who started the service in `folder`."""
    script = script.replace("localhost:8000", product.rest_url.removeprefix("http://"))
    script = script.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _steps(block: str) -> list[tuple[str, str]]:
    """Return the commands of a tour with what is shown behind `#` as their answer."""
    steps, command = [], ""
    for line in block.splitlines():
        if line.startswith("# "):
            steps.append((command, line[2:]))
            command = ""
        else:
            command += f"{line}\n"
    assert command == "", "a command without an answer"
    return steps


def _check(shown: str, output: str) -> None:
    """Check an answer: the `data` of an envelope, of which `...` leaves keys out, or a text."""
    last = output.splitlines()[-1]
    if not last.startswith("{"):
        assert last == shown
        return
    real = json.loads(last)["data"]
    wanted = json.loads(shown.replace(", ...}", "}"))
    if shown.endswith(", ...}"):
        assert {key: real.get(key) for key in wanted} == wanted
        assert len(real) > len(wanted)
    else:
        assert real == wanted


def test_five_minutes_with_curl_python_and_the_commands(tmp_path: Path) -> None:
    with Product(tmp_path) as product:
        (tmp_path / "var").symlink_to(product.data_dir)
        log_in, tour = _blocks("Five minutes with curl", "")
        steps = _steps(tour)
        script = log_in + f"printf '{_MARK}'\n".join(command for command, _ in steps)
        for (_, shown), output in zip(
            steps, _run(product, tmp_path, script).split(_MARK), strict=True
        ):
            _check(shown, output)

        heading = "Five minutes with Python and the command line"
        [program] = _blocks(heading, "python")
        (tmp_path / "program.py").write_text(program)
        printed = _run(product, tmp_path, ".venv/bin/python program.py")
        assert printed.startswith("audio/mpeg ")
        assert (tmp_path / "greeting.mp3").stat().st_size == int(printed.split()[1])

        [commands] = _blocks(heading, "")
        listed = _run(product, tmp_path, commands)
        assert "vm-enter_pass" in listed


def test_the_configuration_table_is_what_the_service_reads() -> None:
    lines = [
        "| variable | type | default | meaning |",
        "|---|---|---|---|",
        *(f"| `{v.name}` | {v.kind} | {v.default or 'none'} | {v.help} |" for v in variables()),
    ]
    marker = "<!-- configuration: checked against config.py by a test -->\n"
    shown = _README.split(marker)[1].split("<!-- end of configuration -->")[0]
    assert shown.strip() == "\n".join(lines)
