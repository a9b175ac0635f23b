"""`make torture` in short: it finds nothing in the product, and losses if there are any."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def torture(*options: str) -> tuple[int, str]:
    """Run it for a few seconds and return its exit code and its text."""
    command = [sys.executable, "-m", "tests.torture", "--minutes", "0.06", "--recorders", "4"]
    ran = subprocess.run(
        [*command, "--seed", "17", *options], capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stdout + ran.stderr


def finished(text: str) -> list[int]:
    """Return how many recordings over gRPC, by tus and by PUT the table has."""
    [counts] = re.findall(r"grpc / tus / put\W+(\d+) / (\d+) / (\d+)", text)
    return [int(each) for each in counts]


def lost_bytes(text: str) -> int:
    """Return what the table says."""
    [count] = re.findall(r"bytes lost\W+([\d,]+)", text)
    return int(count.replace(",", ""))


def test_nothing_is_lost() -> None:
    code, text = torture()
    assert (code, lost_bytes(text)) == (0, 0), text
    assert all(finished(text)), text


def test_a_worker_that_acknowledges_before_its_transaction_is_found_out() -> None:
    code, text = torture("--broken")
    assert code == 1, text
    assert lost_bytes(text) > 0, text
