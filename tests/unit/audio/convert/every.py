"""Conversions by Kazoo's command and by a preset of every back end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kazoo_media.audio.conversion import KAZOO_FAILURE, Conversion, ConversionOutcome
from kazoo_media.audio.convert.converters import Backend, Converters
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.jobs import Job
from kazoo_media.audio.programs.sox import SoxCommand
from tests.unit.audio.programs.sox_runs import Uploading, run, run_fallback

KAZOO = "kazoo"
EVERY = (KAZOO, *Backend)

Start = Callable[[AudioFormat], Conversion]


def starting(backends: Converters, by: str) -> Start:
    """Return what starts a conversion by Kazoo's command, or by a preset of this back end."""
    if by == KAZOO:
        return lambda source: kazoo(backends, source)
    return lambda source: telephony(backends, source, Backend(by))


def kazoo(backends: Converters, source: AudioFormat) -> Conversion:
    command = SoxCommand("sox", source, AudioFormat.MP3, (), ("-r", "8000"))
    return Uploading(partial(backends.by_command, command))


def telephony(
    backends: Converters, source: AudioFormat, wanted: Backend, preset: str = "telephony"
) -> Conversion:
    job = Job(source, AudioFormat.MP3, preset, "linear16", ignore_length=False)
    return Uploading(partial(backends.by_preset, job, wanted, "sox"))


async def run_all(conversion: Conversion, data: bytes) -> tuple[bytes, ConversionOutcome]:
    """Convert as an upload does: once more as long as a fallback may do better."""
    out, outcome = await run(conversion, data)
    while outcome.fallback is not None:
        out, outcome = await run_fallback(outcome, data)
    return out, outcome


def reason(outcome: ConversionOutcome) -> str:
    """Return why a conversion failed."""
    assert outcome.report.error is not None, outcome
    assert outcome.report.error.startswith(KAZOO_FAILURE + ": ")
    return outcome.report.error.removeprefix(KAZOO_FAILURE + ": ")
