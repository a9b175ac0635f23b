"""The product with its data on a small disk of its own, that a test may fill."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Self

from typing_extensions import override

from tests.support.product import Product


def may_mount() -> bool:
    """Return whether a test may have a disk of its own."""
    attempt = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /tmp"]
    return shutil.which("unshare") is not None and not subprocess.call(
        attempt, stderr=subprocess.DEVNULL
    )


class ConfinedProduct(Product):
    """The product with its folder on a disk of its own, that only its processes see.

    The disk survives `stop`, `kill` and `launch`; it goes at the end of the `with` block.

    Attributes:
        mount_point: Where its processes see the disk; others see it at `data_dir`.
    """

    def __init__(self, folder: Path, size_mib: int, **variables: str) -> None:
        super().__init__(folder, **variables)
        self._size_mib = size_mib
        self.mount_point = self.data_dir
        self.mount_point.mkdir()

    @override
    def __enter__(self) -> Self:
        script = (
            f'mount -t tmpfs -o size={self._size_mib}m,mode=700 tmpfs "$0" && echo'
            " && exec sleep infinity"
        )
        holding = ["unshare", "-m", "sh", "-c", script, str(self.mount_point)]
        self._holder = subprocess.Popen(holding, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline(), "the disk was not mounted"
        self.data_dir = Path(f"/proc/{self._holder.pid}/root{self.mount_point}")
        try:
            return super().__enter__()
        except BaseException:
            self._unmount()
            raise

    @override
    def __exit__(self, *exception: object) -> None:
        try:
            super().__exit__(*exception)
        finally:
            self._unmount()

    @override
    def command(self) -> list[str]:
        return self.inside(*super().command())

    def inside(self, *command: str) -> list[str]:
        """Return a command that sees the disk where the product does."""
        return ["nsenter", "-m", "-t", str(self._holder.pid), *command]

    def _unmount(self) -> None:
        self._holder.kill()
        self._holder.communicate()


def fill(path: Path) -> None:
    """Write a file that leaves no space."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
