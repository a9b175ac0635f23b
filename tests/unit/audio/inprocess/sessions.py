"""Running conversions in tests, from pipe to pipe."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from tempfile import TemporaryFile

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inprocess import session
from kazoo_media.audio.inspect.wav import repaired_head
from kazoo_media.audio.jobs import Job, Report


def job(
    source: AudioFormat = AudioFormat.WAV,
    target: AudioFormat = AudioFormat.WAV,
    preset: str = "telephony",
    wav_encoding: str = "linear16",
    *,
    ignore_length: bool = False,
) -> Job:
    return Job(source, target, preset, wav_encoding, ignore_length)


def convert(what: Job, data: bytes | Iterable[bytes], chunk_bytes: int = 60_000) -> bytes:
    """Return the output of a conversion that must succeed."""
    out, report = run(what, data, chunk_bytes)
    assert report.error is None
    return out


def run(
    what: Job, data: bytes | Iterable[bytes], chunk_bytes: int = 60_000
) -> tuple[bytes, Report]:
    """Convert; a WAV gets the right sizes."""
    source_fd, feed_fd = os.pipe()
    read_fd, sink_fd = os.pipe()
    out = bytearray()
    feeder = threading.Thread(target=_feed, args=(feed_fd, data, chunk_bytes))
    reader = threading.Thread(target=_read, args=(read_fd, out))
    feeder.start()
    reader.start()
    try:
        with TemporaryFile() as spool:
            report = session.convert(what, source_fd, sink_fd, spool.fileno())
    finally:
        os.close(source_fd)
        os.close(sink_fd)
        feeder.join()
        reader.join()
    whole = bytes(out)
    return repaired_head(whole[:128], len(whole)) + whole[128:], report


def _feed(feed_fd: int, data: bytes | Iterable[bytes], chunk_bytes: int) -> None:
    chunks = (
        (data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes))
        if isinstance(data, bytes)
        else data
    )
    try:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(feed_fd, rest) :]
    except BrokenPipeError:
        pass
    finally:
        os.close(feed_fd)


def _read(read_fd: int, out: bytearray) -> None:
    while data := os.read(read_fd, 65_536):
        out += data
    os.close(read_fd)
