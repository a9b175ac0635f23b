"""nginx in front of the product, as an operator may run it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.product import free_port, is_open, wait_until

_CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    {server}
}}
"""
_GRPC_SERVER = """
server {{
    listen 127.0.0.1:{port} http2;
    client_max_body_size 0;
    client_body_timeout 1h;
    grpc_read_timeout 1h;
    grpc_send_timeout 1h;
    location / {{
        grpc_pass grpc://127.0.0.1:{worker_port};
    }}
}}
"""


@contextmanager
def nginx(folder: Path, worker_port: int) -> Iterator[str]:
    """Run nginx and yield host:port, where it passes gRPC to a worker."""
    port = free_port()
    with nginx_server(folder, _GRPC_SERVER.format(port=port, worker_port=worker_port), port):
        yield f"127.0.0.1:{port}"


@contextmanager
def nginx_server(folder: Path, server: str, port: int) -> Iterator[None]:
    """Run nginx with a `server` block that listens on a port."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "`make setup-test` installs nginx"
    path = folder / "nginx.conf"
    path.write_text(_CONFIGURATION.format(folder=folder, server=server))
    process = subprocess.Popen([program, "-c", str(path), "-e", "stderr"])
    try:
        wait_until(lambda: is_open(port), "nginx listens")
        yield
    finally:
        process.terminate()
        process.wait()
