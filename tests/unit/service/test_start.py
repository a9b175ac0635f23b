"""What a start finds in its data folder: leftovers of killed processes, and too much access."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kazoo_media.service.runtime import runtime_folder
from kazoo_media.service.start import locked
from kazoo_media.start_error import StartError


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_a_folder_that_others_can_access_is_reported_once(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with capture_logs() as lines, locked(tmp_path):
        pass
    assert lines == [
        {
            "event": "other users can access the data folder",
            "log_level": "warning",
            "folder": str(tmp_path),
            "mode": f"{mode:04o}",
            "remedy": f"chmod 700 {tmp_path}",
        }
    ]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode


def test_a_private_folder_is_not_reported(tmp_path: Path) -> None:
    with capture_logs() as lines:
        for _ in range(2):
            with locked(tmp_path / "data"):
                assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert lines == []


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "signing-key.pem.123.draft").touch()
    (tmp_path / "signing-key.pem").touch()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "spool").touch()
    with locked(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {"lock", "signing-key.pem"}


def test_nothing_is_removed_while_another_service_runs(tmp_path: Path) -> None:
    with locked(tmp_path):
        (tmp_path / "a.draft").touch()
        with pytest.raises(StartError, match="in use by another"), locked(tmp_path):
            pass
        assert (tmp_path / "a.draft").exists()


def test_sockets_lie_in_a_private_folder_below_the_data_folder(tmp_path: Path) -> None:
    with runtime_folder(tmp_path, None) as folder:
        assert folder == tmp_path / "run"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def _long(tmp_path: Path) -> Path:
    data_dir = tmp_path / ("x" * 100)
    data_dir.mkdir()
    return data_dir


@pytest.fixture
def user_folder() -> Iterator[Path]:
    """A folder with a short path, as XDG_RUNTIME_DIR is; that of pytest may be long."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_sockets_of_a_long_path_lie_in_the_folder_of_the_user(
    tmp_path: Path, user_folder: Path
) -> None:
    with runtime_folder(_long(tmp_path), user_folder) as folder:
        assert folder.parent == user_folder
        assert len(str(folder / "worker-63.sock")) <= 107
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


@pytest.mark.parametrize("long", [False, True])
def test_the_runtime_folder_of_a_killed_service_is_removed(
    tmp_path: Path, user_folder: Path, *, long: bool
) -> None:
    data_dir = _long(tmp_path) if long else user_folder
    killed = runtime_folder(data_dir, user_folder)
    folder = killed.__enter__()
    (folder / "worker-7.sock").touch()
    folder.chmod(0o755)
    with runtime_folder(data_dir, user_folder) as again:
        assert again == folder
        assert list(again.iterdir()) == []
        assert stat.S_IMODE(again.stat().st_mode) == 0o700


def test_two_services_of_a_user_have_two_folders(tmp_path: Path, user_folder: Path) -> None:
    one, other = tmp_path / ("x" * 100), tmp_path / ("y" * 100)
    with runtime_folder(one, user_folder) as first, runtime_folder(other, user_folder) as second:
        assert first != second


def test_a_path_that_is_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(StartError, match="XDG_RUNTIME_DIR"),
        runtime_folder(_long(tmp_path), None),
    ):
        pass
