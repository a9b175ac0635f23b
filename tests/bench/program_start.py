"""CPU time of a start of a program: in the sandbox of a worker, and with limits alone."""

from __future__ import annotations

import asyncio
import tempfile
from functools import partial
from pathlib import Path

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.running.process import ConverterProcess
from kazoo_media.audio.running.program import Program
from tests.bench.http_load import NotThereError
from tests.bench.presets import children_cpu_s
from tests.bench.table import Better, Contest, Line, Sample

_STARTS = 100
_PEER = "limits alone"
_SOX = Program(("sox", "--version"), ConversionLimits())


class ProgramStart:
    """The contest. The product's own code starts sox, which does nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def contest(self) -> Contest:
        """Return the contest."""
        sides = {
            "ours": partial(self._measure, in_sandbox=True),
            _PEER: partial(self._measure, in_sandbox=False),
        }
        line = Line("CPU of a start of sox", "ms", "ms", Better.LESS, peer=_PEER)
        return Contest("start-cpu", sides, [line])

    def _measure(self, *, in_sandbox: bool) -> Sample:
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            confinement = _confinement(Path(name), in_sandbox=in_sandbox)
            try:
                return {"ms": asyncio.run(_cpu_s_of_a_start(confinement)) * 1000}
            finally:
                confinement.close()


def _confinement(folder: Path, *, in_sandbox: bool) -> Confinement:
    if not in_sandbox:
        return Confinement(folder)
    try:
        return Confinement.by_sandbox(folder, folder)
    except OSError as error:
        raise NotThereError(f"no sandbox on this machine: {error}") from error


async def _cpu_s_of_a_start(confinement: Confinement) -> float:
    before_s = children_cpu_s()
    for _ in range(_STARTS):
        process = await ConverterProcess.start(_SOX, confinement)
        process.stdin.close()
        while await process.stdout.read():
            pass
        await process.wait()
        process.close()
    return (children_cpu_s() - before_s) / _STARTS
