"""Starts of the product that are expected to fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from kazoo_media.cli.app import application
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


@dataclass(frozen=True)
class Ended:
    """A start that has ended."""

    exit_code: int
    stdout: str
    stderr: str


Start: TypeAlias = Callable[..., Ended]


def start(folder: Path, *command: str, **variables: str) -> Ended:
    """Run a start to its end. Variables in lower case omit `KAZOO_MEDIA_`."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("KAZOO_MEDIA_")}
    done = subprocess.run(
        [sys.executable, "-m", "kazoo_media", *command],
        env={**inherited, **_environment(folder, variables)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def start_here(folder: Path, *command: str, **variables: str) -> Ended:
    """As `start`, in this process, for a start that ends before it starts others."""
    foreign = {k: None for k in os.environ if k.startswith("KAZOO_MEDIA_")}
    environment = {**foreign, **_environment(folder, variables)}
    # The logs of this process are not the command's.
    with patch("kazoo_media.service.logs.configure_logging"), capture_logs():
        app = application(command[0])
        done = CliRunner().invoke(app, command, env=environment, catch_exceptions=False)
    return Ended(done.exit_code, done.stdout, done.stderr)


def _environment(folder: Path, variables: Variables) -> Variables:
    own = {
        "data_dir": str(folder / "data"),
        "http_port": str(free_port()),
        "grpc_port": str(free_port()),
        **variables,
    }
    return {k if k.isupper() else f"KAZOO_MEDIA_{k.upper()}": v for k, v in own.items()}


def refused(case: Case, folder: Path, *command: str, begin: Start = start_here) -> None:
    done = begin(folder, *command, **case.prepare(folder))
    assert (done.exit_code, done.stdout) == (1, ""), done.stderr
    [line] = done.stderr.splitlines()
    subject = case.subject.replace("~", str(folder))
    assert line.startswith(f"kazoo-media {command[0]}: {subject}")
    _, problem, rest = line.partition(case.problem)
    assert problem, line
    assert case.remedy in rest


def table(*cases: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)
