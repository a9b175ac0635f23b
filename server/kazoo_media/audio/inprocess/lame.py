"""Encoding by the LAME that sox loads, too.

lameenc brings a LAME of its own, whose compiler was told otherwise: a few bytes of what it writes
are others. Only the library of the system writes, byte for byte, what sox does.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from kazoo_media.audio.inprocess.encoders import Encoder, write_all

_NAME = "libmp3lame.so.0"
_PIECE_SAMPLES = 16 * 1024
_PIECE_BYTES = _PIECE_SAMPLES * 5 // 4 + 7200  # the most that becomes of a piece: lame.h


class LameError(Exception):
    """The LAME of the system can not encode; the text says why, for a person."""


def _loaded() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(_NAME)
    except OSError:
        return None
    handle, number, place = ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
    library.lame_init.restype = handle
    library.lame_init.argtypes = []
    library.lame_close.argtypes = [handle]
    for name in ("num_channels", "in_samplerate", "out_samplerate", "bWriteVbrTag"):
        getattr(library, f"lame_set_{name}").argtypes = [handle, number]
    library.lame_init_params.argtypes = [handle]
    library.lame_encode_buffer.argtypes = [handle, place, place, number, place, number]
    library.lame_encode_flush.argtypes = [handle, place, number]
    return library


_library = _loaded()  # before the process is locked down: the zygote imports this


class SystemLameEncoder(Encoder):
    """Mp3 as sox writes it into a pipe when it is told nothing but the sample rate."""

    factor = 0.95  # LAME's own head-room
    overshoot_db = 1.0

    def __init__(self, sink_fd: int, sample_rate_hertz: int) -> None:
        """Begin an mp3.

        Raises:
            LameError: there is no such library, or it knows no such sample rate.
        """
        if _library is None:
            raise LameError(f"{_NAME} is not installed")
        self._sink_fd = sink_fd
        self._library = _library
        self._coded = ctypes.create_string_buffer(_PIECE_BYTES)
        self._lame = _library.lame_init()
        self._close = weakref.finalize(self, _library.lame_close, self._lame)
        for name, value in (
            ("num_channels", 1),
            ("in_samplerate", sample_rate_hertz),
            ("out_samplerate", sample_rate_hertz),
            ("bWriteVbrTag", 0),
        ):
            self._checked(getattr(_library, f"lame_set_{name}")(self._lame, value))
        self._checked(_library.lame_init_params(self._lame))

    @override
    def encode(self, samples: NDArray[np.int16]) -> None:
        for piece in _pieces(samples):
            encode, place = self._library.lame_encode_buffer, piece.ctypes.data
            self._write(encode(self._lame, place, None, len(piece), self._coded, _PIECE_BYTES))

    @override
    def finish(self) -> None:
        self._write(self._library.lame_encode_flush(self._lame, self._coded, _PIECE_BYTES))
        self._close()

    def _write(self, size: int) -> None:
        write_all(self._sink_fd, self._coded.raw[: self._checked(size)])

    def _checked(self, result: int) -> int:
        if result < 0:
            raise LameError(f"LAME failed with {result}")
        return result


def _pieces(samples: NDArray[np.int16]) -> Iterator[NDArray[np.int16]]:
    whole = np.ascontiguousarray(samples)
    for at in range(0, len(whole), _PIECE_SAMPLES):
        yield whole[at : at + _PIECE_SAMPLES]
