"""What the supervisor refuses before it starts anything, and its tether."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kazoo_media.audio.running.tethered import tethered
from kazoo_media.config import Config
from kazoo_media.service.bootstrap import Bootstrap
from kazoo_media.service.supervisor import Supervisor
from kazoo_media.start_error import StartError
from tests.support.product import free_port


def supervisor(data_dir: Path, **variables: str) -> Supervisor:
    def announce(live: Bootstrap) -> None:
        pytest.fail(f"it started: {live}")

    ports = {"http_port": str(free_port()), "grpc_port": str(free_port())}
    wanted = {"data_dir": str(data_dir), **ports, **variables}
    return Supervisor(
        Config.from_environ({f"KAZOO_MEDIA_{k.upper()}": v for k, v in wanted.items()}), announce
    )


def test_a_data_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StartError, match="in use by another"):
            supervisor(tmp_path).run()


def test_a_data_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"KAZOO_MEDIA_DATA_DIR=.*Not a directory"):
        supervisor(tmp_path / "file" / "data").run()


@pytest.mark.parametrize("variable", ["http_port", "grpc_port"])
def test_a_port_in_use_is_named_and_nothing_started(tmp_path: Path, variable: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(StartError, match=f"KAZOO_MEDIA_{variable.upper()}={port} .*in use"):
            supervisor(tmp_path, **{variable: port}).run()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_tethered_program_runs_as_itself() -> None:
    command = tethered([sys.executable, "-c"])
    done = subprocess.run([*command, "print('here')"], capture_output=True, text=True, check=True)
    assert done.stdout == "here\n"


def test_a_program_whose_parent_is_gone_does_not_start() -> None:
    own, others = str(os.getpid()), "1"
    command = [others if each == own else each for each in tethered([sys.executable, "-c"])]
    done = subprocess.run([*command, "print('here')"], capture_output=True, text=True, check=True)
    assert done.stdout == ""
