"""Messages between the service, the zygote and the converters.

A message is a line of JSON followed by raw bytes, with descriptors. It arrives whole.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

LARGEST_BYTES = 128 * 1024
"""A report has the waveforms of two renditions, 80 KiB."""

_MOST_DESCRIPTORS = 3


def channel() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a channel; both are blocking and closed by an exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(
    end: socket.socket,
    message: Mapping[str, Any],
    descriptors: Sequence[int] = (),
    raw: bytes = b"",
) -> None:
    """Send a message with raw bytes and with copies of descriptors.

    Raises:
        OSError: the other end is closed.
    """
    socket.send_fds(end, [orjson.dumps(message), b"\n", raw], descriptors)


def receive(end: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Return the next message and its descriptors, or None if the other end is closed."""
    data, descriptors, _, _ = socket.recv_fds(end, LARGEST_BYTES, _MOST_DESCRIPTORS)
    return orjson.loads(data) if data else None, descriptors


def receive_untrusted(end: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """Return the next message of an untrusted process and its raw bytes; descriptors are dropped.

    Returns:
        None if the other end is closed or the message is invalid.

    Raises:
        BlockingIOError: no message is waiting.
    """
    try:
        line, _, raw = end.recv(LARGEST_BYTES).partition(b"\n")
        message = orjson.loads(line)
    except (ValueError, ConnectionError):
        return None
    return (message, raw) if isinstance(message, dict) else None
