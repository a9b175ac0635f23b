"""Files and folders that the service makes for itself. test_first_start.py has their durability."""

from __future__ import annotations

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kazoo_media import durable


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_and_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old, longer")
    durable.replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_exists_is_not_created_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.create_file(path, b"first")
    durable.create_file(path, b"second")
    assert path.read_bytes() == b"first"
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_of_processes_that_create_a_file_at_once_the_first_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    link = os.link

    def late(draft: Path, wanted: Path) -> None:
        path.write_bytes(b"first")
        link(draft, wanted)

    monkeypatch.setattr(os, "link", late)
    durable.create_file(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_that_create_a_file_at_once_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    link = os.link
    has_draft, go_on = threading.Event(), threading.Event()

    def second_waits(draft: Path, wanted: Path) -> None:
        if threading.current_thread() is not threading.main_thread():
            has_draft.set()
            assert go_on.wait(10)
        link(draft, wanted)

    monkeypatch.setattr(os, "link", second_waits)
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(durable.create_file, path, b"second")
        assert has_draft.wait(10)
        durable.create_file(path, b"first")
        go_on.set()
        second.result()
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_changes_nothing_and_leaves_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        durable.replace_file(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_and_its_parents_are_made_private(tmp_path: Path) -> None:
    durable.make_folder(tmp_path / "a" / "b")
    durable.make_folder(tmp_path / "a" / "b")
    assert [_mode(tmp_path / name) for name in ("a", "a/b")] == [0o700, 0o700]


def test_a_file_is_not_taken_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError):
        durable.make_folder(tmp_path / "a")
    with pytest.raises(NotADirectoryError):
        durable.make_folder(tmp_path / "a" / "b")
