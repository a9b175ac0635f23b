"""What Kazoo's documented command makes, whoever makes it: the same bytes."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import lameenc
import numpy as np
import psutil
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from kazoo_media.audio.conversion import (
    KAZOO_FAILURE,
    Conversion,
    ConversionLimits,
    ConversionOutcome,
)
from kazoo_media.audio.convert import proof
from kazoo_media.audio.convert.documented import DOCUMENTED, Documented
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.programs.sox import SoxConversion
from kazoo_media.audio.running import limits as processes
from tests.support.audio_samples import encoded, noise, silence, tone, wav_bytes, with_data_size
from tests.support.processes import programs, zygotes
from tests.unit.audio.programs.sox_runs import feed_all, read_all, run, tried

pytestmark = pytest.mark.asyncio(loop_scope="module")  # starting a pool takes half a second

_COMMAND = ["sox", "-t", "wav", "-", "-r", "8000", "-t", "mp3", "-"]


@dataclass(frozen=True)
class UnderTest:
    """Converts as the command does."""

    documented: Documented
    folder: Path
    zygotes_of_others: list[psutil.Process]  # the session keeps services with pools of their own

    def by_command(self) -> Conversion:
        return SoxConversion(DOCUMENTED, ConversionLimits(), self.folder)

    def new(self) -> Conversion:
        return self.documented.conversion(self.by_command)

    async def made(
        self, audio: bytes, chunk_bytes: int = 1 << 20
    ) -> tuple[bytes, ConversionOutcome]:
        return await run(self.new(), audio, chunk_bytes)


def _is_in_process(outcome: ConversionOutcome) -> bool:
    """Tell who it was: sox measures nothing."""
    return outcome.before is not None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proven(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[UnderTest]:
    folder = tmp_path_factory.mktemp("conversions")
    async for under_test in _opened(folder):
        await tried(under_test.new)
        yield under_test


@pytest_asyncio.fixture(loop_scope="module")
async def unproven(tmp_path: Path) -> AsyncIterator[UnderTest]:
    async for under_test in _opened(tmp_path):
        yield under_test


async def _opened(folder: Path) -> AsyncIterator[UnderTest]:
    of_others = zygotes()
    pool = ConverterPool(folder)
    documented = Documented(pool, folder)
    yield UnderTest(documented, folder, of_others)
    await documented.aclose()
    await pool.aclose()


def _by_shell(audio: bytes) -> bytes:
    return subprocess.run(_COMMAND, input=audio, capture_output=True, check=True).stdout


def _speech(seconds: float = 2.0) -> bytes:
    """Return syllables: a voice whose pitch moves, between pauses, and hiss."""
    at = np.arange(round(seconds * 8000)) / 8000
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(5 * at)) / 8000
    voice = sum(np.sin(pitch * each) / each for each in range(1, 15))
    hiss = np.random.default_rng(4).standard_normal(len(at))
    return wav_bytes(voice * np.maximum(0, np.sin(9 * at)) * 0.2 + hiss * 0.003, 8000, 1, 16)


def _pcm(samples: int, seed: int = 1) -> bytes:
    return wav_bytes(np.random.default_rng(seed).standard_normal(samples) * 0.1, 8000, 1, 16)


def _every_code(code: int) -> bytes:
    """Return a WAV of 8 bits a sample in which every byte follows many others."""
    data = bytes(range(256)) + np.random.default_rng(2).bytes(20_000)
    return _shaped(fmt=code.to_bytes(2, "little") + _FMT_8[2:], data=data)


def _shaped(
    audio: bytes = tone(1.0),
    *,
    fmt: bytes | None = None,
    before: bytes = b"",
    data: bytes | None = None,
    behind: bytes = b"",
) -> bytes:
    """Return a WAV with another fmt chunk, and chunks before and behind its audio."""
    fmt, data = fmt or audio[20:36], data if data is not None else audio[44:]
    chunks = _chunk(b"fmt ", fmt) + before + _chunk(b"data", data) + behind
    return b"RIFF" + (len(chunks) + 4).to_bytes(4, "little") + b"WAVE" + chunks


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + bytes(len(content) & 1)


_FMT, _FMT_8 = tone(0.1)[20:36], tone(0.1, bits=8)[20:36]
_FACT = _chunk(b"fact", (8000).to_bytes(4, "little"))
_LIST = _chunk(b"LIST", b"INFO" + _chunk(b"INAM", b"a title") + _chunk(b"ICMT", b"a comment"))
_EXTENDED = (
    b"\xfe\xff"
    + _FMT[2:]
    + b"\x16\0\x10\0\4\0\0\0\1\0"
    + bytes.fromhex("000000001000800000aa00389b71")
)

_PLAIN = {
    "speech": _speech(),
    "a tone": tone(3.0),
    "noise": noise(2.0),
    "noise that is clipped": noise(2.0, level_db=3.0),
    "silence": silence(1.0),
    "a square of full scale": wav_bytes(np.sign(np.sin(np.arange(16_000) / 9)), 8000, 1, 16),
    "the last bit": wav_bytes(np.arange(16_000) % 3 / 32768, 8000, 1, 16),
    "a minute": noise(60.0),
    "PCM of 8 bits": _every_code(1),
    "A-law": _every_code(6),
    "mu-law": _every_code(7),
    "an extended header": _shaped(fmt=_FMT + b"\0\0"),
    "a count of samples": _shaped(before=_FACT),
    "a header like those of Kazoo's prompts": _shaped(fmt=_FMT + b"\0\0", before=_FACT),
    "a chunk behind": _shaped(behind=_LIST),
    "a chunk behind an odd size": _shaped(data=tone(0.5)[44:] + b"\1", behind=_LIST),
    "half a sample at the end": with_data_size(tone(0.5), 0) + b"\1",
    "a few bytes behind": tone(1.0) + b"\1\2\3",
    **{f"a size of {size:x}": with_data_size(_speech(), size) for size in (0, 0x7FFFF000, 1 << 31)},
    **{f"{count} samples": _pcm(count) for count in (1, 2, 575, 576, 577, 1151, 1152, 1153, 1729)},
}
_OTHER = {
    "a comment before": _shaped(before=_LIST),
    "an unknown chunk before": _shaped(before=_chunk(b"JUNK", bytes(28))),
    "two channels": noise(1.0, channels=2),
    "16 kHz": noise(1.0, rate=16_000),
    "24 bits": noise(1.0, bits=24),
    "float": encoded(noise(1.0), "wav", "-e", "floating-point", "-b", "32"),
    "an extensible header": _shaped(fmt=_EXTENDED),
    "ADPCM": encoded(noise(1.0), "wav", "-e", "ima-adpcm"),
    "a size of blocks that is wrong": _shaped(fmt=_FMT[:12] + b"\4\0" + _FMT[14:]),
}


@pytest.mark.parametrize("name", _PLAIN)
async def test_in_process_the_same_bytes_come_out(proven: UnderTest, name: str) -> None:
    audio = _PLAIN[name]

    out, outcome = await proven.made(audio)

    assert outcome.error is None
    assert _is_in_process(outcome)
    by_command, expected = await _final(proven.by_command(), audio)
    assert out == by_command
    assert (outcome.facts, outcome.warnings) == (expected.facts, expected.warnings)
    if not name.startswith(("a size of", "half a sample")):
        assert out == _by_shell(audio)


@pytest.mark.parametrize("name", _OTHER)
async def test_everything_else_is_made_by_the_command(proven: UnderTest, name: str) -> None:
    out, outcome = await proven.made(_OTHER[name])

    assert outcome.error is None
    assert not _is_in_process(outcome)
    assert out == _by_shell(_OTHER[name])


@pytest.mark.parametrize("chunk_bytes", [1, 53, 1000, 32_001])
async def test_chunks_change_nothing(proven: UnderTest, chunk_bytes: int) -> None:
    audio = _speech(0.5)
    out, outcome = await proven.made(audio, chunk_bytes)
    assert _is_in_process(outcome)
    assert out == _by_shell(audio)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.binary(max_size=6000),
    size=st.none() | st.integers(0, 7000) | st.sampled_from([0x7FFFEFFE, 0x7FFFF000, 0xFFFFFFFF]),
    behind=st.binary(max_size=12) | st.just(_LIST),
    code=st.sampled_from([b"\1\0", b"\6\0", b"\7\0", b""]),
    kept=st.integers(0, 200) | st.none(),
)
async def test_whatever_the_header_claims_the_end_is_the_same(
    proven: UnderTest, data: bytes, size: int | None, behind: bytes, code: bytes, kept: int | None
) -> None:
    fmt = code + _FMT_8[2:] if code else _FMT
    audio = _shaped(fmt=fmt, data=data, behind=behind)
    if size is not None:
        audio = with_data_size(audio, size)
    audio = audio[:kept]

    (out, outcome), (expected, command) = (
        await _final(proven.new(), audio),
        await _final(proven.by_command(), audio),
    )

    assert outcome.error == command.error
    if outcome.error is None:
        assert out == expected
        assert (outcome.facts, outcome.warnings) == (command.facts, command.warnings)


async def _final(conversion: Conversion, audio: bytes) -> tuple[bytes, ConversionOutcome]:
    """Convert as an upload does: once more as long as another conversion may do better."""
    out, outcome = await run(conversion, audio)
    while outcome.another is not None:
        out, outcome = await run(outcome.another(), audio)
    return out, outcome


async def test_levels_of_both_are_measured(proven: UnderTest) -> None:
    _, outcome = await proven.made(tone(3.0, frequency_hertz=1000, level_db=-20))

    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.before.peak_dbfs == pytest.approx(-17, abs=0.05)
    assert outcome.after.peak_dbfs == pytest.approx(-17 - 0.45, abs=0.05)
    assert outcome.before.loudness_lufs == pytest.approx(-20, abs=0.1)
    assert outcome.after.loudness_lufs == pytest.approx(-20 - 0.45, abs=0.1)


async def test_a_process_that_is_killed_is_followed_by_the_command(proven: UnderTest) -> None:
    audio = noise(20.0)
    async with proven.new() as conversion:
        reading = asyncio.ensure_future(read_all(conversion))
        await conversion.feed(audio[:100_000])
        for zygote in zygotes():
            if zygote not in proven.zygotes_of_others:
                for each in zygote.children():
                    each.kill()
        await feed_all(conversion, audio[100_000:])
        await reading
        outcome = await conversion.outcome()

    assert "it was killed" in str(outcome.error)
    assert outcome.another is not None
    out, outcome = await run(outcome.another(), audio)
    assert not _is_in_process(outcome)
    assert out == _by_shell(audio)


async def test_until_the_proof_is_given_the_command_runs(unproven: UnderTest) -> None:
    audio = _speech()
    out, outcome = await unproven.made(audio)
    assert not _is_in_process(outcome)
    assert out == _by_shell(audio)

    assert "is made in process" in await tried(unproven.new)
    out, outcome = await unproven.made(audio)
    assert _is_in_process(outcome)
    assert out == _by_shell(audio)


async def test_where_sox_is_another_program_it_runs(
    unproven: UnderTest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("programs")
    monkeypatch.setattr(processes, "_PATH", f"{folder}:{processes._PATH}")
    wrapper, real = folder / "sox", shutil.which("sox")
    wrapper.write_text(f"#!/bin/sh\nexec {real} -t wav - -r 8000 -C 16 -t mp3 -\n")
    wrapper.chmod(0o755)

    assert "what came out differs" in await tried(unproven.new)

    with capture_logs() as later:
        out, outcome = await unproven.made(tone(2.0))
    assert not _is_in_process(outcome)
    assert out == encoded(tone(2.0), "mp3", "-r", "8000", "-C", "16")
    assert not later


async def test_without_sox_the_error_says_so(
    unproven: UnderTest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PATH", str(tmp_path_factory.mktemp("programs")))

    assert "sox can not be started" in await tried(unproven.new)

    _, outcome = await unproven.made(tone(2.0))
    assert outcome.error == f"{KAZOO_FAILURE}: sox can not be started: No such file or directory"


async def test_what_is_closed_while_it_is_tried_leaves_nothing(unproven: UnderTest) -> None:
    for pauses in range(0, 60, 10):
        documented = Documented(ConverterPool(unproven.folder), unproven.folder)
        conversion = documented.conversion(unproven.by_command)
        await conversion.feed(tone(0.3))
        for _ in range(pauses):
            await asyncio.sleep(0.001)
        await conversion.kill()
        await documented.aclose()
        await documented._pool.aclose()
    assert not programs()
    assert set(zygotes()) <= set(unproven.zygotes_of_others)
    assert not list(unproven.folder.iterdir())


async def test_the_clip_tells_one_lame_from_another() -> None:
    clip = proof._clip()
    lame = lameenc.Encoder()  # compiled otherwise, set as the other one sets itself
    lame.silence()
    lame.set_channels(1)
    lame.set_in_sample_rate(8000)
    lame.set_out_sample_rate(8000)
    lame.set_bit_rate(8)
    lame.set_quality(3)
    coded, expected = lame.encode(clip[44:]) + lame.flush(), _by_shell(clip)
    assert len(coded) == len(expected)
    assert coded != expected
