"""The presets: named normalizations, each with the chain of sox effects that makes it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from kazoo_media.audio.formats import AudioFormat

LONGEST_S = 10_800
"""Longer audio is not converted, as a few kB can claim days. Kazoo's limit of a recording."""

KAZOO = "kazoo"
"""The preset that runs exactly the command given by the settings."""

WAV_ENCODINGS: Mapping[str, tuple[str, ...]] = {
    "linear16": ("-b", "16", "-e", "signed-integer"),
    "mulaw": ("-b", "8", "-e", "mu-law"),
    "alaw": ("-b", "8", "-e", "a-law"),
}
"""Sample encodings of WAV output, with sox's options."""

COMPAND_DB = ((-70, -78), (-60, -38), (-45, -25), (-20, -16), (0, -8))
"""Input and output levels of the compander: quiet speech is raised, loud speech lowered."""

_COMPAND_POINTS = ",".join(f"{level},{becomes}" for level, becomes in COMPAND_DB)


CEILING_DB = -1.0
"""Highest true peak of presets that measure the level first."""

HEAD_ROOM_DB = -6
"""Headroom before resampling, which overshoots on clipped audio."""


class Dynamics(enum.Enum):
    """Level changes that need no look at later audio."""

    NONE = enum.auto()
    SOFT_LIMIT = enum.auto()
    COMPAND = enum.auto()


class Scale(enum.Enum):
    """Units of a target level."""

    LOUDNESS = enum.auto()
    """LUFS. Source: ITU-R BS.1770."""
    SPEECH = enum.auto()
    """Active speech level in dBFS. Source: ITU-T P.56."""


@dataclass(frozen=True, slots=True)
class Level:
    """The level of the whole output, reached by one gain. Needs the in-process converter."""

    scale: Scale
    wanted_db: float


@dataclass(frozen=True, slots=True)
class Preset:
    """One normalization. The output is mono.

    Attributes:
        kilobits_per_s: Bit rate of mp3 output.
        highpass_hertz: Corner frequency; 0: no filter.
        level: None: the output has no target level.
    """

    sample_rate_hertz: int
    kilobits_per_s: int
    dynamics: Dynamics = Dynamics.NONE
    highpass_hertz: int = 0
    level: Level | None = None

    @property
    def sox_can(self) -> bool:
        """Return whether sox can make it: sox cannot measure the whole file first."""
        return self.level is None

    def effects(self) -> tuple[str, ...]:
        """Return the chain of sox effects. All of them stream.

        Raises:
            ValueError: sox cannot make the preset.
        """
        if not self.sox_can:
            raise ValueError("sox cannot measure the whole file before it changes the level")
        if self.dynamics is Dynamics.NONE:
            return ("trim", "0", str(LONGEST_S))
        highpass = ("highpass", str(self.highpass_hertz)) if self.highpass_hertz else ()
        last: tuple[str, ...] = ("gain", "-l", "6")
        if self.dynamics is Dynamics.COMPAND:
            last = ("compand", "0.05,0.5", f"6:{_COMPAND_POINTS}", "0", "-30", "0.05")
        rate = ("rate", str(self.sample_rate_hertz))
        start = ("trim", "0", str(LONGEST_S), "gain", str(HEAD_ROOM_DB), "channels", "1")
        return (*start, *highpass, *rate, *last)

    def options(self, target: AudioFormat, wav_encoding: str) -> tuple[str, ...]:
        """Return sox's options for the output."""
        options: tuple[str, ...] = ()
        if self.dynamics is Dynamics.NONE:
            options = ("-r", str(self.sample_rate_hertz), "-c", "1")
        if target is AudioFormat.MP3:
            # .7 is LAME's quality 7, at these rates both its fastest and its best.
            return (*options, "-C", f"{self.kilobits_per_s}.7")
        return (*options, *WAV_ENCODINGS[wav_encoding]) if target is AudioFormat.WAV else options


PRESETS: Mapping[str, Preset] = {
    "telephony": Preset(8000, 32),
    "wideband": Preset(16_000, 64),
    "guard": Preset(8000, 32, Dynamics.SOFT_LIMIT, highpass_hertz=100),
    "voicemail": Preset(8000, 32, Dynamics.COMPAND, highpass_hertz=100),
    "loudness": Preset(8000, 32, highpass_hertz=60, level=Level(Scale.LOUDNESS, -19.0)),
    # -19 dBm0 by RFC 7874, 4.
    "rfc7874": Preset(8000, 32, highpass_hertz=60, level=Level(Scale.SPEECH, -22.0)),
}
"""All presets except KAZOO, by name."""

PRESET_NAMES = (KAZOO, *PRESETS)
