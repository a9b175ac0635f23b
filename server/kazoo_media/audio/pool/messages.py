"""Messages between the service, the zygote and the converters: JSON with descriptors, each arrives
whole.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

LARGEST_BYTES = 64 * 1024
_MOST_DESCRIPTORS = 3


def channel() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a channel; both are blocking and closed by an exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(end: socket.socket, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send a message with copies of descriptors.

    Raises:
        OSError: nobody is at the other end.
    """
    socket.send_fds(end, [json.dumps(message).encode()], descriptors)


def receive(end: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Return the next message and its descriptors, None when the other end is closed."""
    data, descriptors, _, _ = socket.recv_fds(end, LARGEST_BYTES, _MOST_DESCRIPTORS)
    return json.loads(data) if data else None, descriptors


def receive_untrusted(end: socket.socket) -> dict[str, Any] | None:
    """Return the next message of a process that may be another's by now; descriptors are dropped.

    Returns:
        None when the other end is closed or what came is no message.

    Raises:
        BlockingIOError: nothing is there.
    """
    try:
        message = json.loads(end.recv(LARGEST_BYTES))
    except (ValueError, RecursionError, ConnectionError):
        return None
    return message if isinstance(message, dict) else None
