"""Audio that only ffmpeg can read, on its way through ffmpeg and sox."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import psutil
import pytest

from kazoo_media.audio.conversion import (
    KAZOO_FAILURE,
    Conversion,
    ConversionLimits,
    Refusal,
    Started,
)
from kazoo_media.audio.convert.converters import Converters, start_or_refuse
from kazoo_media.audio.convert.two_stage import TwoStageConversion
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.head import Head
from kazoo_media.audio.inspect.sniff import sniff
from kazoo_media.audio.programs.ffmpeg import FfmpegDecoding, ffmpeg_argv, find_ffmpeg
from kazoo_media.audio.programs.sox import SoxCommand
from kazoo_media.audio.running.confinement import Confinement
from tests.support.audio_samples import contained, measure, noise, tone
from tests.unit.audio.convert import damage
from tests.unit.audio.inspect.made_containers import (
    CONTAINERS,
    FREQUENCY_HERTZ,
    SECONDS,
    STREAMING,
    in_container,
)
from tests.unit.audio.programs.sox_runs import Uploading, feed_all, read_all, run

WAV, MP3 = AudioFormat.WAV, AudioFormat.MP3

_FFMPEG = find_ffmpeg()
_NO_LIMITS = ConversionLimits()


class Decode:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new(
        self,
        source: AudioFormat,
        target: AudioFormat = MP3,
        limits: ConversionLimits = _NO_LIMITS,
        ffmpeg: str | None = _FFMPEG,
    ) -> Conversion:
        command = SoxCommand("sox", WAV, target, (), ("-r", "8000"))
        by_sox = partial(Converters(Confinement(self.folder), None, None).by_command, command)

        async def start(head: Head) -> Started:
            decoding = FfmpegDecoding.start(ffmpeg, source, head, limits, Confinement(self.folder))
            decoder = await start_or_refuse(head, source, "ffmpeg", decoding)
            return decoder if isinstance(decoder, Refusal) else TwoStageConversion(decoder, by_sox)

        return Uploading(start)

    async def reason(
        self, data: bytes, source: AudioFormat, limits: ConversionLimits = _NO_LIMITS
    ) -> str:
        _, outcome = await run(self.new(source, limits=limits), data)
        assert outcome.report.error is not None
        assert outcome.report.error.startswith(KAZOO_FAILURE + ": ")
        return outcome.report.error.removeprefix(KAZOO_FAILURE + ": ")


@pytest.fixture
def decode(tmp_path: Path) -> Decode:
    return Decode(tmp_path)


class TestGoodAudio:
    @pytest.mark.parametrize("name", CONTAINERS)
    async def test_keeps_its_length_and_pitch(self, decode: Decode, name: str) -> None:
        data, expected = in_container(name), CONTAINERS[name][0]
        assert sniff(data).format is expected

        out, outcome = await run(decode.new(expected), data)

        assert (outcome.report.error, outcome.report.warnings) == (None, ())
        measured = measure(out, "mp3")
        assert measured.duration_s == pytest.approx(SECONDS, abs=0.3)
        assert measured.frequency_hertz == pytest.approx(FREQUENCY_HERTZ, abs=5)
        assert (measured.sample_rate_hertz, measured.channel_count) == (8000, 2)
        assert outcome.facts.duration_ms == pytest.approx(SECONDS * 1000, abs=300)

    @pytest.mark.parametrize("name", ["m4a", "webm, opus", "aac"])
    @pytest.mark.parametrize("chunk_bytes", [100, 4096])
    async def test_comes_out_the_same_however_it_is_cut(
        self, decode: Decode, name: str, chunk_bytes: int
    ) -> None:
        data, source = in_container(name), CONTAINERS[name][0]

        whole, _ = await run(decode.new(source), data)
        cut, outcome = await run(decode.new(source), data, chunk_bytes)

        assert outcome.report.error is None
        assert cut == whole

    @pytest.mark.parametrize("name", sorted(STREAMING))
    async def test_comes_out_while_it_goes_in(self, decode: Decode, name: str) -> None:
        data, source = in_container(name), CONTAINERS[name][0]
        async with decode.new(source, WAV) as conversion:
            output = conversion.output()
            feeding = asyncio.ensure_future(conversion.feed(data[:-1]))
            first = await anext(output)
            await feeding
            await conversion.feed(data[-1:])
            await conversion.finish()
            rest = b"".join([chunk async for chunk in output])
            outcome = await conversion.outcome()

        assert outcome.report.error is None
        assert len(first + rest) == pytest.approx(44 + SECONDS * 8000 * 4, rel=0.02)

    async def test_a_long_file_with_its_index_at_the_end_passes(self, decode: Decode) -> None:
        audio = noise(120.0, rate=48_000)
        data = contained(audio, "a.m4a", "-c:a", "alac")
        assert len(data) > 8 * 1024 * 1024

        out, outcome = await run(decode.new(AudioFormat.M4A, WAV), data)

        assert outcome.report.error is None
        assert len(out) == 44 + 120 * 8000 * 2
        assert list(decode.folder.iterdir()) == []

    async def test_tags_of_an_aac_are_no_audio(self, decode: Decode) -> None:
        aac = in_container("aac")
        data = damage.id3(63) + aac + damage.id3(30_000) + aac + b"TAG" + bytes(125)
        assert sniff(data).format is AudioFormat.AAC

        out, outcome = await run(decode.new(AudioFormat.AAC), data)

        assert outcome.report.error is None
        assert measure(out, "mp3").duration_s == pytest.approx(2 * SECONDS, abs=0.5)

    async def test_more_than_two_channels_become_two(self, decode: Decode) -> None:
        data = contained(tone(1.0, rate=48_000, channels=6), "a.m4a", "-c:a", "aac")

        out, outcome = await run(decode.new(AudioFormat.M4A), data)

        assert outcome.report.error is None
        assert measure(out, "mp3").channel_count == 2


class TestBadInput:
    @pytest.mark.parametrize("name", sorted(set(CONTAINERS) - {"aac", "mpeg", "mpeg, transport"}))
    @pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
    async def test_a_cut_file_is_an_error(self, decode: Decode, name: str, kept: float) -> None:
        data = in_container(name)

        assert await decode.reason(data[: int(len(data) * kept)], CONTAINERS[name][0])

    async def test_an_aac_that_ends_within_a_frame_is_a_warning(self, decode: Decode) -> None:
        data = in_container("aac")

        _, outcome = await run(decode.new(AudioFormat.AAC), data[:-20])

        assert outcome.report.error is None
        assert "the input ends within a frame" in outcome.report.warnings

    @pytest.mark.parametrize("name", sorted(CONTAINERS))
    async def test_a_file_that_is_half_garbage_is_an_error(self, decode: Decode, name: str) -> None:
        data = in_container(name)
        start = len(data) // 3
        garbage = noise(10.0, rate=48_000, seed=3)[44 : 44 + len(data) // 2]

        damaged = data[:start] + garbage + data[start + len(garbage) :]

        assert await decode.reason(damaged, CONTAINERS[name][0])

    async def test_a_video_without_sound_is_an_error(self, decode: Decode) -> None:
        options = ("-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-map", "1:v", "-c:v", "mpeg4")
        data = contained(tone(), "a.mp4", *options)

        assert await decode.reason(data, AudioFormat.MP4) == "no audio in the input"

    async def test_raw_video_holds_no_audio(self, decode: Decode) -> None:
        data = b"\x00\x00\x00\x01\x67\x42" + bytes(range(256)) * 4

        assert await decode.reason(data, AudioFormat.H264) == "H.264 video contains no audio"

    @pytest.mark.parametrize("source", [AudioFormat.M4A, AudioFormat.AAC, AudioFormat.WEBM])
    async def test_another_format_than_told_is_an_error(
        self, decode: Decode, source: AudioFormat
    ) -> None:
        assert f"the input is MP3, not {source.title}" == await decode.reason(
            contained(tone(), "a.mp3"), source
        )

    async def test_a_missing_index_is_told(self, decode: Decode) -> None:
        data = in_container("m4a")

        assert "moov atom not found" in await decode.reason(data[:60_000], AudioFormat.M4A)


class TestFfmpeg:
    async def test_without_it_the_error_says_what_to_install(self, decode: Decode) -> None:
        conversion = decode.new(AudioFormat.M4A, ffmpeg=None)

        out, outcome = await run(conversion, in_container("m4a"))

        assert out == b""
        assert outcome.report.error is not None
        assert "M4A can be read with ffmpeg only, which is not installed" in outcome.report.error
        assert "kazoo-media[ffmpeg]" in outcome.report.error

    async def test_one_that_is_gone_is_an_error(self, decode: Decode) -> None:
        conversion = decode.new(AudioFormat.AAC, ffmpeg="/nowhere/ffmpeg")

        _, outcome = await run(conversion, in_container("aac"))

        assert outcome.report.error is not None
        assert "ffmpeg cannot be started: No such file" in outcome.report.error

    @pytest.mark.parametrize("name", CONTAINERS)
    def test_it_may_read_nothing_but_its_input(self, name: str) -> None:
        argv = ffmpeg_argv("ffmpeg", CONTAINERS[name][0], in_container(name)[:512])

        protocol = argv[argv.index("-protocol_whitelist") + 1]
        assert protocol == ("pipe" if name in STREAMING else "fd")
        assert argv[argv.index("-i") + 1] in ("pipe:0", "fd:")
        assert "-f" in argv[: argv.index("-i")]

    async def test_it_writes_no_file_but_the_spooled_input(self, decode: Decode) -> None:
        limits = ConversionLimits(spool_bytes=100_000)

        _, streamed = await run(
            decode.new(AudioFormat.M4A, limits=limits), in_container("m4a, index first")
        )
        reason = await decode.reason(in_container("m4a"), AudioFormat.M4A, limits)

        assert streamed.report.error is None
        assert reason == "it wrote a larger temporary file than is allowed"
        assert list(decode.folder.iterdir()) == []

    async def test_output_without_end_ends_at_the_limit(self, decode: Decode) -> None:
        limits = ConversionLimits(output_bytes=100_000, output_factor=1)

        reason = await decode.reason(in_container("webm, opus"), AudioFormat.WEBM, limits)

        assert reason == "it wrote more than is allowed"

    async def test_one_that_somebody_ends_is_an_error(self, decode: Decode) -> None:
        data = in_container("aac")
        before = set(psutil.Process().children())
        async with decode.new(AudioFormat.AAC) as conversion:
            reading = asyncio.ensure_future(read_all(conversion))
            await conversion.feed(data[: len(data) // 2])
            (ffmpeg,) = (
                each
                for each in set(psutil.Process().children()) - before
                if each.name().startswith("ffmpeg")
            )
            ffmpeg.kill()
            await feed_all(conversion, data[len(data) // 2 :])
            await reading
            outcome = await conversion.outcome()

        assert outcome.report.error is not None
        assert "it was killed" in outcome.report.error

    @pytest.mark.parametrize("name", ["aac", "m4a"])
    async def test_nothing_is_left_after_a_kill(self, decode: Decode, name: str) -> None:
        data, source = in_container(name), CONTAINERS[name][0]
        me = psutil.Process()
        before, children = me.num_fds(), me.children(recursive=True)
        for _ in range(2):
            conversion = decode.new(source)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(feed_all(conversion, data[:50_000]))
                reading = tasks.create_task(read_all(conversion))
                await asyncio.sleep(0.05)
                await conversion.kill()
            outcome = await conversion.outcome()
            assert outcome.report.error is not None
            assert reading.done()

        assert me.num_fds() <= before + 1  # the first child watcher of the process
        assert me.children(recursive=True) == children
