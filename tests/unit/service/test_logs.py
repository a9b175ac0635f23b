"""The log: JSON lines, whoever writes them."""

from __future__ import annotations

import json
import subprocess
import sys

_PROGRAM = """
import logging
from kazoo_media.service.logs import configure_logging

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


_FORWARDING = """
import os, subprocess, sys, threading
import structlog
from kazoo_media.service.logs import configure_logging, forward_lines

configure_logging("supervisor")
writing = (
    "import os, sys\\n"
    "for n in range(300):\\n"
    "    os.write(2, b'%s %03d ' % (sys.argv[1].encode(), n))\\n"
    "    os.write(2, b'x' * 5000)\\n"
    "    os.write(2, b' end\\\\n' if n < 299 else b' end')\\n"
)
threads, processes = [], []
for name in "ab":
    sink, thread = forward_lines()
    processes.append(subprocess.Popen([sys.executable, "-c", writing, name], stderr=sink))
    os.close(sink)
    threads.append(thread)
for number in range(300):
    structlog.get_logger().info("c", number=number)
for each in (*processes, *threads):
    each.wait() if each in processes else each.join()
"""


def test_lines_of_several_processes_stay_whole_and_in_order() -> None:
    command = [sys.executable, "-c", _FORWARDING]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stderr.removesuffix("\n").split("\n")
    for name in "ab":
        wanted = [f"{name} {number:03d} {'x' * 5000} end" for number in range(300)]
        assert [line for line in lines if line.startswith(name)] == wanted
    own = [json.loads(line) for line in lines if line.startswith("{")]
    assert [line["number"] for line in own] == list(range(300))
    assert len(lines) == 900
