"""The evidence of a failed conversion: a converter's exit code alone proves nothing.

sox exits 0 on many kinds of garbage, on truncated input and on a full disk.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.plausibility import is_too_long, is_too_short
from kazoo_media.audio.inspect.sniff import sniff
from kazoo_media.audio.jobs import Report
from kazoo_media.model import AudioFacts

NOTHING_CAME_OUT = "no audio came out"
"""The failure of a converter that wrote no samples."""

_LOWEST_MPEG1_RATE = 32_000
_LAME_DELAY_SAMPLES = 1105  # of the encoder and of a decoder
_MOST_WARNINGS = 10
_MOST_CHARACTERS = 200
_COMPLAINT = re.compile(r"^\S+ (FAIL|WARN) +(.+)$", re.MULTILINE)
# For every pipe; of `trim` if the audio is shorter than its limit; for raw G.711; for tags.
_EXPECTED = re.compile(
    r"can't seek|header will be wrong|seekable|^trim: |^raw: `-': (sample rate|# channels) not"
    r"|^aiff: Ignoring AIFF tail chunk",
    re.IGNORECASE,
)
_UNREADABLE = re.compile(r"^formats: can't open input\s+`-'")
_WITH_MAGIC = frozenset(
    {
        AudioFormat.WAV,
        AudioFormat.MP3,
        AudioFormat.OGG,
        AudioFormat.FLAC,
        AudioFormat.AMR,
        AudioFormat.AU,
    }
)
_SIGNALS = {
    signal.SIGKILL: "it was killed, perhaps because memory ran out",
    signal.SIGXCPU: "it used more CPU time than is allowed",
    signal.SIGXFSZ: "it wrote a larger temporary file than is allowed",
    signal.SIGPIPE: "its output was closed",
    **dict.fromkeys(
        (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE),
        "it crashed, perhaps because the input is broken",
    ),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence when a converter has ended.

    Attributes:
        exit_code: Minus the signal, if one ended it.
        failure: Why it failed by its own report.
        head: The first bytes of the output.
        facts: Facts of the output.
        least_ms: Shortest expected duration of the output; None: not known.
        most_ms: Longest expected duration of the output; None: not known.
        input_truncated: Whether the input ended earlier than its headers declare.
    """

    exit_code: int
    failure: str | None
    target: AudioFormat
    head: bytes
    facts: AudioFacts
    least_ms: int | None
    most_ms: int | None
    input_truncated: bool


def failure_of(evidence: Evidence) -> str | None:
    """Return why the output must not be used, or None."""
    return _exit_failure(evidence) or _output_failure(evidence) or _length_failure(evidence)


def report_of(complaints: str) -> Report:
    """Return the report in the stderr of sox or of a program with lines like sox's."""
    return Report(_first_failure(complaints), tuple(_warnings(complaints)))


def _warnings(complaints: str) -> list[str]:
    """Return each text once, without those that sox writes for every input."""
    found = (
        text[:_MOST_CHARACTERS]
        for level, text in _COMPLAINT.findall(complaints)
        if level == "WARN" and not _EXPECTED.search(text)
    )
    return list(dict.fromkeys(found))[:_MOST_WARNINGS]


def _first_failure(complaints: str) -> str | None:
    for level, text in _COMPLAINT.findall(complaints):
        if level == "FAIL":
            readable = _UNREADABLE.sub("it cannot read the input", " ".join(text.split()))
            return readable[:_MOST_CHARACTERS].rstrip(" :")
    return None


def _exit_failure(evidence: Evidence) -> str | None:
    if evidence.exit_code < 0:
        return _signal_text(-evidence.exit_code)
    if evidence.failure is None and evidence.exit_code > 0:
        return f"it ended with exit status {evidence.exit_code}"
    return evidence.failure


def _output_failure(evidence: Evidence) -> str | None:
    if not evidence.head or evidence.facts.duration_ms == 0:
        return NOTHING_CAME_OUT
    if evidence.target in _WITH_MAGIC and sniff(evidence.head).format is not evidence.target:
        return f"the output is not {evidence.target.title}"
    return None


def _length_failure(evidence: Evidence) -> str | None:
    if evidence.input_truncated:
        return "the input is shorter than its header says"
    duration_ms, least_ms, most_ms = evidence.facts.duration_ms, evidence.least_ms, evidence.most_ms
    if duration_ms is None or least_ms is None or most_ms is None:
        return None
    if is_too_short(duration_ms, least_ms):
        return f"{duration_ms / 1000:.1f} s came out of {least_ms / 1000:.1f} s"
    if is_too_long(duration_ms - _added_ms(evidence), most_ms):
        return f"{duration_ms / 1000:.1f} s came out of {most_ms / 1000:.1f} s"
    return None


def _added_ms(evidence: Evidence) -> int:
    """Return the longest silence that an encoder adds at both ends."""
    rate = evidence.facts.sample_rate_hertz
    if evidence.target is not AudioFormat.MP3 or not rate:
        return 0
    frame_samples = 1152 if rate >= _LOWEST_MPEG1_RATE else 576
    return round((_LAME_DELAY_SAMPLES + frame_samples) * 1000 / rate)


def _signal_text(number: int) -> str:
    try:
        known = signal.Signals(number)
    except ValueError:
        return f"it was ended by signal {number}"
    return _SIGNALS.get(known, f"it was ended by {known.name}")
