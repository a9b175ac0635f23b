"""Conversion by the sox program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from typing_extensions import override

from kazoo_media.audio.conversion import Conversion, ConversionLimits
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.programs.sox_arguments import spools
from kazoo_media.audio.running.piped import Converter, PipedConversion
from kazoo_media.audio.running.process import ConverterProcess


@dataclass(frozen=True, slots=True)
class SoxCommand:
    """What to run. The arguments have passed `parse_arguments`, the executable
    `executable_permitted`; effects come from a preset.

    Attributes:
        source: Of the bytes that will come, as sniffed; the declared type where they have no magic.
    """

    executable: str
    source: AudioFormat
    target: AudioFormat
    source_arguments: tuple[str, ...] = ()
    destination_arguments: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()

    @property
    def spools(self) -> bool:
        """Tell whether nothing comes out before all has gone in."""
        return spools((*self.source_arguments, *self.destination_arguments))


def sox_argv(command: SoxCommand, *, ignore_length: bool) -> list[str]:
    """Return Kazoo's command line: audio in on stdin, audio out on stdout.

    Raises:
        ValueError: sox can not read the source or write the target.
    """
    source, target = command.source.sox_type, command.target.sox_type
    if source is None or target is None:
        unknown = command.source if source is None else command.target
        raise ValueError(f"{unknown.title} can not be converted by sox")
    ignoring = ignore_length and "--ignore-length" not in command.source_arguments
    return [
        command.executable,
        "-t",
        source,
        *command.source_arguments,
        *(["--ignore-length"] if ignoring else []),
        "-",
        *command.destination_arguments,
        "-t",
        target,
        "-",
        *command.effects,
    ]


class SoxConversion(PipedConversion):
    """One run of sox. Nothing runs before the first bytes are fed."""

    def __init__(
        self,
        command: SoxCommand,
        limits: ConversionLimits,
        temp_folder: Path,
        *,
        ignore_length: bool = False,
    ) -> None:
        super().__init__(command.source, command.target, limits, ignore_length=ignore_length)
        self._command = command
        self._folder = temp_folder

    @property
    @override
    def _program(self) -> str:
        return PurePath(self._command.executable).name

    @property
    @override
    def _length_is_known(self) -> bool:
        # Arguments may change what the input means, and so how long it is.
        return not self._command.source_arguments

    @property
    @override
    def _length_misleads(self) -> bool:
        ignored = self._ignores_length or "--ignore-length" in self._command.source_arguments
        return self._input_meter.hides_audio() and not ignored

    @override
    def _another(self, reason: str | None) -> Callable[[], Conversion] | None:
        del reason
        if not self._length_misleads:
            return None
        command, limits, folder = self._command, self._limits, self._folder
        return lambda: SoxConversion(command, limits, folder, ignore_length=True)

    @override
    async def _launch(self, head: bytes, *, ignore_length: bool) -> Converter:
        del head
        argv = sox_argv(self._command, ignore_length=ignore_length)
        spool_bytes = self._limits.spool_bytes if self._command.spools else 0
        return await ConverterProcess.start(argv, self._limits, spool_bytes, self._folder)
