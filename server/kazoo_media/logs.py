"""Logs: JSON lines on stderr, one shape for supervisor, workers and Envoy."""

from __future__ import annotations

import logging
import sys

import structlog
from typing_extensions import override


class _ToStructlog(logging.Handler):
    """Takes what libraries log."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno,
            record.getMessage(),
            logger=record.name,
            exc_info=record.exc_info,
        )


def configure_logging(process: str) -> None:
    """Write every log line of this process as JSON to stderr, with the process's name in it."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(level=logging.WARNING, handlers=[_ToStructlog()], force=True)
