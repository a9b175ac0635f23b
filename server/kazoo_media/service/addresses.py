"""Checks the addresses of a start before an engine listens on them, which reports less."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from kazoo_media.start_error import StartError

LONGEST_SOCKET_PATH = 107
"""Bytes, of 108 in sockaddr_un: unix(7)."""

_UNIX = "unix:"


def check_port(subject: str, host: str, port: int) -> None:
    """Return if a TCP port of this machine can be listened on.

    Args:
        subject: The variable or option that names the port.
        host: An IP address.

    Raises:
        StartError: it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            remedy = "choose another one, or stop the program that has it"
            raise StartError.about(subject, error.strerror, remedy) from error


def check_address(address: str) -> None:
    """Return if `worker --listen` can listen on an address: HOST:PORT or unix:PATH. Blocks.

    Raises:
        StartError: it cannot.
    """
    subject = f"--listen {address}"
    if address.startswith(_UNIX):
        _check_socket_path(subject, Path(address.removeprefix(_UNIX)))
        return
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise StartError.about(subject, "not an address", "use HOST:PORT or unix:PATH")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        remedy = "use an address of this machine, 0.0.0.0 or [::] for all"
        raise StartError.about(subject, error.strerror, remedy) from error
    check_port(subject, str(found[0][4][0]), int(port))


def _check_socket_path(subject: str, path: Path) -> None:
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        problem = f"a path of more than {LONGEST_SOCKET_PATH} bytes"
        raise StartError.about(subject, problem, "use a shorter one")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        problem = f"{path.parent} does not exist, or is not writable"
        raise StartError.about(subject, problem, "make the folder, or use another one")
    if path.exists() and not path.is_socket():
        raise StartError.about(subject, "not a socket", "move it away, or use another path")
