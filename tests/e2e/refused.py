"""Starts of the product that are expected to fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.product import free_port

Variables = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """A start that fails.

    Attributes:
        prepare: Breaks something and returns variables, without `KAZOO_MEDIA_`. It gets the folder
            of the test; `data` in it will be the data folder.
        subject: What the line names; `~` is the folder of the test.
        problem: What the line says of it.
        remedy: What it says to do.
    """

    name: str
    prepare: Callable[[Path], Variables]
    subject: str
    problem: str
    remedy: str


def start(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a start to its end. Variables in lower case omit `KAZOO_MEDIA_`."""
    own = {
        "data_dir": str(folder / "data"),
        "http_port": str(free_port()),
        "grpc_port": str(free_port()),
        **variables,
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("KAZOO_MEDIA_")}
    named = {k if k.isupper() else f"KAZOO_MEDIA_{k.upper()}": v for k, v in own.items()}
    return subprocess.run(
        [sys.executable, "-m", "kazoo_media", *command],
        env=inherited | named,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def refused(case: Case, folder: Path, *command: str) -> None:
    done = start(folder, *command, **case.prepare(folder))
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    [line] = done.stderr.splitlines()
    subject = case.subject.replace("~", str(folder))
    assert line.startswith(f"kazoo-media {command[0]}: {subject}")
    _, problem, rest = line.partition(case.problem)
    assert problem, line
    assert case.remedy in rest


def table(*cases: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)
