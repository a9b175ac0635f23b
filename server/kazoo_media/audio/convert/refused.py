"""A conversion that nobody here can do."""

from __future__ import annotations

from typing_extensions import override

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.running.piped import Converter, PipedConversion


class RefusedConversion(PipedConversion):
    """Takes the input, and fails with a reason."""

    def __init__(self, source: AudioFormat, target: AudioFormat, reason: str) -> None:
        super().__init__(source, target, ConversionLimits())
        self._refusal = reason

    @property
    @override
    def _program(self) -> str:
        return "nothing"

    @override
    async def _launch(self, head: bytes, *, ignore_length: bool) -> Converter:
        raise ValueError(self._refusal)
