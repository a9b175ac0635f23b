"""The words that a setting may add to a converter's command line.

The settings service is reachable over the network: without this list it would be a remote shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import PurePosixPath

from kazoo_media.audio.formats import AudioFormat

_TYPES = frozenset(each.sox_type for each in AudioFormat if each.sox_type) | {
    "raw",
    "sln",
    "vorbis",
}
_ENCODINGS = frozenset({"signed-integer", "signed", "unsigned-integer", "unsigned"}) | {
    "floating-point",
    "float",
    "mu-law",
    "u-law",
    "a-law",
    "ima-adpcm",
    "ms-adpcm",
    "gsm-full-rate",
}
_RATE = re.compile(r"\d{1,6}(\.\d{1,3})?k?")
_NUMBER = re.compile(r"[+-]?\d{1,4}(\.\d{1,6})?")


def _rate(value: str) -> bool:
    if not _RATE.fullmatch(value):
        return False
    hertz = float(value[:-1]) * 1000 if value.endswith("k") else float(value)
    return 4_000 <= hertz <= 192_000


def _between(lowest: float, highest: float) -> Callable[[str], bool]:
    return lambda value: bool(_NUMBER.fullmatch(value)) and lowest <= float(value) <= highest


_VALUED: dict[str, tuple[Callable[[str], bool], str]] = {
    "--rate": (_rate, "a sample rate of 4000 to 192000"),
    "--channels": (lambda value: value in set("12345678"), "1 to 8 channels"),
    "--bits": (lambda value: value in {"8", "16", "24", "32"}, "8, 16, 24 or 32 bits"),
    "--encoding": (lambda value: value in _ENCODINGS, "one of " + ", ".join(sorted(_ENCODINGS))),
    "--compression": (_between(-1000, 1000), "a number"),
    "--type": (lambda value: value in _TYPES, "one of " + ", ".join(sorted(_TYPES))),
    "--endian": (lambda value: value in {"little", "big", "swap"}, "little, big or swap"),
    "--volume": (_between(-100, 100), "a factor of -100 to 100"),
}
_SHORT = {
    "-r": "--rate",
    "-c": "--channels",
    "-b": "--bits",
    "-e": "--encoding",
    "-C": "--compression",
    "-t": "--type",
    "-v": "--volume",
}
_FLAGS = frozenset({"-L", "-B", "-x", "-N", "-X", "-D", "-G", "-R", "-q", "-V0", "-V1", "-V2"}) | {
    "--reverse-nibbles",
    "--reverse-bits",
    "--ignore-length",
    "--no-dither",
    "--guard",
    "--norm",
    "--no-show-progress",
    "--single-threaded",
    "--multi-threaded",
}
_NORM = re.compile(r"--norm=-?\d{1,2}(\.\d{1,3})?")


@lru_cache  # the same settings for each upload
def parse_arguments(text: str) -> tuple[str, ...]:
    """Return the words of `text`, all of them sox format options.

    None of them names a file, a program or an effect.

    Raises:
        ValueError: a word is something else; the error text names it.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"the arguments cannot be split into words: {error}") from error
    remaining = iter(words)
    for word in remaining:
        _check(word, remaining)
    return words


def spools(arguments: tuple[str, ...]) -> bool:
    """Return whether sox spools all input to a temporary file before it writes."""
    return any(each in ("-G", "--guard") or each.startswith("--norm") for each in arguments)


def executable_permitted(value: str, converters: frozenset[str]) -> bool:
    """Return whether `value` is a name or an absolute path with a file name in `converters`."""
    path = PurePosixPath(value)
    return path.name in converters and (value == path.name or path.is_absolute())


def _check(word: str, remaining: Iterator[str]) -> None:
    """Check one option; its value comes from `remaining` unless it is attached."""
    if word in _FLAGS or _NORM.fullmatch(word):
        return
    if word.startswith("--"):
        option, attached, value = word.partition("=")
    else:
        option, value = _SHORT.get(word[:2], word), word[2:]
        attached = value
    if option not in _VALUED:
        raise ValueError(f"the argument {word!r} is not a permitted sox format option")
    if not attached:
        value = next(remaining, "")
    is_valid, wanted = _VALUED[option]
    if not is_valid(value):
        raise ValueError(f"the argument {word!r} needs {wanted}, not {value!r}")
