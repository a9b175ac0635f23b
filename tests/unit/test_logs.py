"""The log: JSON lines, whoever writes them."""

from __future__ import annotations

import json
import subprocess
import sys

_PROGRAM = """
import logging
from kazoo_media.logs import configure_logging

configure_logging("worker-0")
logging.getLogger("library").info("not this")
logging.getLogger("library").warning("%d odd things", 3)
try:
    raise ValueError("odd")
except ValueError:
    logging.getLogger("library").exception("it failed")
"""


def test_what_libraries_log_is_json_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True
    )
    warning, failure = (json.loads(line) for line in done.stderr.splitlines())
    assert warning["event"] == "3 odd things"
    assert (warning["level"], warning["logger"]) == ("warning", "library")
    assert warning["process"] == "worker-0"
    assert failure["event"] == "it failed"
    assert "ValueError: odd" in failure["exception"]
