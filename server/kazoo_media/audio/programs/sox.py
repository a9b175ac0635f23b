"""Conversion by the sox program."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Self

from typing_extensions import override

from kazoo_media.audio.conversion import ConversionLimits, Start
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.wav_walk import WavWalk
from kazoo_media.audio.programs.sox_arguments import spools
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.running.piped import PipedConversion
from kazoo_media.audio.running.process import ConverterProcess
from kazoo_media.audio.running.program import Program

IGNORE_LENGTH = "--ignore-length"


@dataclass(frozen=True, slots=True)
class SoxCommand:
    """A command to run.

    The arguments have passed `parse_arguments`, the executable `executable_permitted`; effects come
    from a preset.

    Attributes:
        source: Format of the input, as sniffed or, without magic, as declared.
    """

    executable: str
    source: AudioFormat
    target: AudioFormat
    source_arguments: tuple[str, ...] = ()
    destination_arguments: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()

    @property
    def spools(self) -> bool:
        """Return whether sox reads all input before it writes."""
        return spools((*self.source_arguments, *self.destination_arguments))

    def ignoring_length(self) -> SoxCommand:
        """Return the command that ignores the length in the header of the source."""
        given = self.source_arguments
        if IGNORE_LENGTH in given:
            return self
        return replace(self, source_arguments=(*given, IGNORE_LENGTH))


def sox_argv(command: SoxCommand) -> list[str]:
    """Return Kazoo's command line: audio in on stdin, audio out on stdout.

    Raises:
        ValueError: sox cannot read the source or write the target.
    """
    source, target = command.source.sox_type, command.target.sox_type
    if source is None or target is None:
        unknown = command.source if source is None else command.target
        raise ValueError(f"{unknown.title} cannot be converted by sox")
    return [
        command.executable,
        *("-t", source, *command.source_arguments, "-"),
        *(*command.destination_arguments, "-t", target, "-"),
        *command.effects,
    ]


class SoxConversion(PipedConversion):
    """One run of sox."""

    def __init__(
        self,
        process: ConverterProcess,
        command: SoxCommand,
        limits: ConversionLimits,
        again: Start,
        following: Start | None = None,
    ) -> None:
        """Take over a process that waits for its input.

        Args:
            again: Starts the same command again, ignoring the length in the header.
            following: Starts a conversion that reads what sox cannot read, and follows changes of
                the format.
        """
        super().__init__(process, command.source, command.target, limits, again, following)
        self._command = command
        # With --ignore-length it plays everything: also what is not audio.
        ignores = command.source is AudioFormat.WAV and IGNORE_LENGTH in command.source_arguments
        if ignores:
            self._walk = WavWalk()

    @classmethod
    async def start(
        cls,
        command: SoxCommand,
        limits: ConversionLimits,
        confinement: Confinement,
        again: Start,
        following: Start | None = None,
    ) -> Self:
        """Return a conversion that waits for its input.

        Raises:
            ValueError: sox cannot read the source or write the target; the text says which.
            OSError: the program cannot be started.
        """
        spool_bytes = limits.spool_bytes if command.spools else 0
        # Another program may ignore that its pipes close.
        is_sox = PurePath(command.executable).name == "sox"
        program = Program(sox_argv(command), limits, spool_bytes, ends_with_pipes=is_sox)
        process = await ConverterProcess.start(program, confinement)
        return cls(process, command, limits, again, following)

    @property
    @override
    def backend(self) -> str:
        return "sox"

    @property
    @override
    def _length_is_known(self) -> bool:
        # Arguments may change the interpretation of the input and so its length.
        return not set(self._command.source_arguments) - {IGNORE_LENGTH}

    @property
    @override
    def _length_misleads(self) -> bool:
        ignored = IGNORE_LENGTH in self._command.source_arguments
        return self._input.meter.hides_audio() and not ignored

    @override
    def _fallback_after(self, reason: str | None) -> Start | None:
        if self._length_misleads and not self._is_confused:
            return self._fallback
        # It cannot read the input, or cannot write so many channels; damage is found later.
        is_helpless = self._process.report.error is not None and not self._output.size_bytes
        return self._following if self._is_confused or is_helpless else None
