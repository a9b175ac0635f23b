"""A spool on disks that are full or damaged, and between recorders that come and go."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from kazoo_media.client import (
    PauseMode,
    SpooledUpload,
    spooled_uploads,
)
from kazoo_media.client.spool import Mark, Spool
from tests.support.full_disk import disk_full_at
from tests.unit.client.calls import SPEC

UPLOAD = SpooledUpload("system", "call", SPEC)
OTHER = SpooledUpload("system", "other", SPEC)
Opened: TypeAlias = Callable[..., Spool]
PAUSE = Mark(pause=PauseMode.PAUSE_MODE_SILENCE)


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Return a function that opens a spool, which is closed after the test."""
    with ExitStack() as stack:

        def open_spool(folder: Path, upload: SpooledUpload = UPLOAD) -> Spool:
            spool = Spool(folder, upload, 2)
            stack.callback(spool.close)
            return spool

        yield open_spool


def killed(spool: Spool) -> Path:
    """Return a folder with what is left if the process of a spool is killed now."""
    folder = spool.folder.parent.parent
    left = Path(tempfile.mkdtemp(dir=folder.parent))
    shutil.copytree(folder, left, dirs_exist_ok=True)
    return left


def test_a_spool_survives_a_process_that_was_killed_at_any_byte(
    tmp_path: Path, opened: Opened
) -> None:
    spool = opened(tmp_path)
    spool.rebase(1000)
    spool.append(0, b"abcdef")
    spool.note(400, Mark(resume=True))  # the audio before it was not written any more
    spool.flush()
    spool.close()
    journal, segment = spool.folder / "journal", spool.folder / f"{0:020}"
    journal.write_bytes(journal.read_bytes().rstrip(b"\0") + b'{"base": 77')
    with segment.open("ab") as file:
        file.write(b"g")
    again = opened(tmp_path)
    assert (again.base, again.end, again.opened_end) == (1000, 6, 6)
    assert again.marks == [(6, Mark(resume=True))]
    again.append(6, b"hi")
    again.close()
    # The service has not answered: what is new still begins at byte 6.
    third = opened(tmp_path)
    assert (third.end, third.opened_end, third.read(0, 100)) == (8, 6, b"abcdefhi")
    third.rebase(2000)
    third.close()
    last = opened(tmp_path)
    assert (last.base, last.opened_end) == (2000, 8)
    last.close()


def test_a_disk_that_is_full_takes_a_pause_and_the_first_answer(
    tmp_path: Path, opened: Opened
) -> None:
    spool = opened(tmp_path / "spool")
    spool.append(0, b"abcdef")
    with disk_full_at((spool.folder / "journal").stat().st_size):
        spool.rebase(1000)
        spool.note(6, PAUSE)
        spool.flush()
        again = opened(killed(spool))
    assert (again.base, again.opened_end, again.marks) == (1000, 6, [(6, PAUSE)])


def test_no_byte_is_kept_before_the_pause_that_masks_it(tmp_path: Path, opened: Opened) -> None:
    spool = opened(tmp_path / "spool")
    spool.append(0, b"abcdef")
    lines = (spool.folder / "journal").read_bytes().rstrip(b"\0")
    spool.note(6, PAUSE)
    with disk_full_at(len(lines) + 7):  # it takes part of a line
        for _ in range(2):
            with pytest.raises(OSError, match="File too large"):
                spool.append(6, b"\0\0")
    again = opened(killed(spool))
    assert (again.end, again.marks) == (6, [])
    spool.append(6, b"\0\0")
    again = opened(killed(spool))
    assert (again.end, again.marks) == (8, [(6, PAUSE)])


@pytest.mark.parametrize("has_folder", [False, True])
def test_a_spool_begins_on_a_full_disk_and_is_kept_once_there_is_room(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch, *, has_folder: bool
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, disk_full_at(0):
        if not has_folder:
            patched.setattr(Path, "mkdir", full)
        spool = opened(tmp_path / "spool")
        spool.note(0, PAUSE)
        with pytest.raises(OSError, match=r"No space|File too large"):
            spool.append(0, b"ab")
    spool.append(6, b"gh")  # the service has what was in memory
    again = opened(killed(spool))
    assert (again.end, again.marks) == (8, [(0, PAUSE)])
    assert spooled_uploads(tmp_path / "spool") == [UPLOAD]


@pytest.mark.parametrize("damage", [b"\0" * 13 + b"\n", b"[1]\n", b"\xff\n", b"{\n"])
def test_damage_by_a_power_cut_costs_only_what_follows_it(
    tmp_path: Path, opened: Opened, damage: bytes
) -> None:
    spool = opened(tmp_path / "spool")
    spool.rebase(1000)
    spool.append(0, b"abcdef")
    spool.close()
    opened(tmp_path / "spool", OTHER).close()
    journal = spool.folder / "journal"
    lines = journal.read_bytes().rstrip(b"\0")
    journal.write_bytes(lines + damage + b'{"base": 7}\n' + bytes(4096))
    second = opened(tmp_path / "spool")
    third = opened(killed(second))
    assert (second.base, third.base) == (1000, 1000)
    third.note(6, PAUSE)
    third.append(6, b"gh")
    last = opened(killed(third))
    assert (last.base, last.end, last.marks) == (1000, 8, [(6, PAUSE)])
    assert spooled_uploads(tmp_path / "spool") == [UPLOAD, OTHER]


@pytest.mark.parametrize("head", [b"\0" * 50 + b"\n", b"{}\n", b'{"spec": 1}\n', b"no line"])
def test_a_spool_whose_beginning_is_damaged_hides_no_other(
    tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture, head: bytes
) -> None:
    for upload in (UPLOAD, OTHER):
        opened(tmp_path, upload).close()
    (tmp_path / "system/call/journal").write_bytes(head)
    assert spooled_uploads(tmp_path) == [OTHER]
    assert "it is damaged" in caplog.text


def test_a_recorder_that_begins_while_another_one_finishes_has_its_own_files(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path)
    real = fcntl.flock

    def after_the_first_has_finished(file: object, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        first.delete()
        real(file, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", after_the_first_has_finished)
    second = opened(tmp_path)
    assert spooled_uploads(tmp_path) == [UPLOAD]
    with pytest.raises(OSError, match="another recorder uses this spool"):
        opened(tmp_path)
    second.delete()
    assert not second.folder.exists()


def test_only_its_user_may_read_a_spool(tmp_path: Path, opened: Opened) -> None:
    old = os.umask(0)
    try:
        spool = opened(tmp_path / "state" / "spool")
        spool.append(0, b"ab")
    finally:
        os.umask(old)
    spool.close()
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    folders = dict.fromkeys(("state", "spool", "system", "call"), 0o700)
    assert modes == folders | {"journal": 0o600, f"{0:020}": 0o600}
