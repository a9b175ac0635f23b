"""Logs: JSON lines on stderr, one shape for supervisor, workers and Envoy."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from typing_extensions import override


@contextmanager
def _without_rich() -> Iterator[None]:
    """Let imports in the block find no `rich`, unless it is imported already."""
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["rich"]


# structlog would import rich, for traces on a terminal: a third of the supervisor's start.
with _without_rich():
    import structlog

_PIECE_BYTES = 64 << 10


class _ToStructlog(logging.Handler):
    """Passes the log records of libraries to structlog."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno,
            record.getMessage(),
            logger=record.name,
            exc_info=record.exc_info,
        )


def configure_logging(process: str) -> None:
    """Write every log line of this process as JSON to stderr, with the name of the process."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # A line is one write, under the lock that `forward_lines` also takes.
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(level=logging.WARNING, handlers=[_ToStructlog()], force=True)


def write_lines(lines: bytes) -> None:
    """Write whole lines, of which the last has no end yet, to stderr without a line between."""
    structlog.BytesLogger(sys.stderr.buffer).msg(lines)


def forward_lines(
    take: Callable[[bytes], None] = write_lines,
) -> tuple[int, threading.Thread]:
    """Return the write end of a pipe and the thread that passes whole lines from it to `take`.

    The pipe is for the stderr of another process; the caller closes its copy once that process has
    started. The thread ends with the process. Envoy writes a line in several pieces, between which
    other processes would write their own.
    """
    source, sink = os.pipe()
    thread = threading.Thread(target=_forward, args=[source, take], daemon=True)
    thread.start()
    return sink, thread


def _forward(source: int, take: Callable[[bytes], None]) -> None:
    pending = b""
    with open(source, "rb", buffering=0) as pipe:
        while piece := pipe.read(_PIECE_BYTES):
            lines, newline, rest = piece.rpartition(b"\n")
            if newline:
                take(pending + lines)
                pending = rest
            else:
                pending += rest
    if pending:
        take(pending)


def _json(event: Any, **options: Any) -> bytes:  # noqa: ANN401 - as structlog calls it
    return json.dumps(event, **options).encode()
