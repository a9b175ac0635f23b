from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.programs.sox import SoxCommand, sox_argv
from tests.support.audio_samples import encoded, measure, noise, tone, with_data_size
from tests.unit.audio.programs.sox_runs import KAZOO, Convert, feed_all, read_all, run_fallback

WAV, MP3, OGG, FLAC = AudioFormat.WAV, AudioFormat.MP3, AudioFormat.OGG, AudioFormat.FLAC


class TestArgv:
    def test_the_default_command_is_kazoo_s(self) -> None:
        argv = sox_argv(KAZOO)

        assert argv == ["sox", "-t", "wav", "-", "-r", "8000", "-t", "mp3", "-"]

    def test_arguments_stand_where_kazoo_puts_them(self) -> None:
        command = SoxCommand("/usr/bin/sox", OGG, FLAC, ("-v", "0.5"), ("-c", "1"))

        argv = sox_argv(command)

        assert argv == ["/usr/bin/sox", "-t", "ogg", "-v", "0.5", "-", "-c", "1", "-t", "flac", "-"]

    def test_a_length_is_ignored_once(self) -> None:
        asked = replace(KAZOO, source_arguments=("--ignore-length",))

        expected = ["sox", "-t", "wav", "--ignore-length", "-", "-r", "8000", "-t", "mp3", "-"]
        for command in (KAZOO, asked):
            assert sox_argv(command.ignoring_length()) == expected

    def test_formats_that_sox_does_not_know_are_refused_by_name(self) -> None:
        with pytest.raises(ValueError, match="M4A cannot be converted"):
            sox_argv(replace(KAZOO, source=AudioFormat.M4A))
        with pytest.raises(ValueError, match="Ogg Opus cannot be converted"):
            sox_argv(replace(KAZOO, target=AudioFormat.OPUS))


class TestGoodAudio:
    @pytest.mark.parametrize(
        ("source", "coded"), [(WAV, "wav"), (MP3, "mp3"), (OGG, "ogg"), (FLAC, "flac")]
    )
    @pytest.mark.parametrize("target", [WAV, MP3, OGG, FLAC])
    async def test_keeps_its_length_and_pitch_at_8_khz(
        self, convert: Convert, source: AudioFormat, coded: str, target: AudioFormat
    ) -> None:
        audio = encoded(tone(3.0, rate=44_100, frequency_hertz=700.0), coded)

        out, outcome = await convert(audio, replace(KAZOO, source=source, target=target))

        if outcome.repaired_head is not None:
            out = outcome.repaired_head + out[len(outcome.repaired_head) :]
        measured = measure(out, target.sox_type)  # type: ignore[arg-type]
        assert outcome.report.error is None
        assert measured.duration_s == pytest.approx(3.0, abs=0.2)
        assert measured.frequency_hertz == pytest.approx(700.0, abs=5)
        assert measured.sample_rate_hertz == 8000
        assert outcome.facts.sample_rate_hertz == 8000
        assert outcome.facts.channel_count == 1
        assert outcome.facts.duration_ms == pytest.approx(3000, abs=200)

    @pytest.mark.parametrize("chunk_bytes", [1, 100, 511, 4096])
    async def test_comes_out_the_same_however_it_is_cut(
        self, convert: Convert, chunk_bytes: int
    ) -> None:
        audio = tone(0.3)

        whole, _ = await convert(audio)
        cut, outcome = await convert(audio, chunk_bytes=chunk_bytes)

        assert outcome.report.error is None
        assert cut == whole

    async def test_comes_out_while_it_goes_in(self, convert: Convert) -> None:
        audio = noise(20.0, rate=8000)
        async with convert.new(replace(KAZOO, target=WAV)) as conversion:
            output = conversion.output()
            await conversion.feed(audio[:-2])
            first = await anext(output)
            await conversion.finish()
            rest = b"".join([chunk async for chunk in output])
            outcome = await conversion.outcome()

        assert len(first) >= 64 * 1024
        assert outcome.report.error is not None  # two bytes are missing
        assert len(first + rest) == len(audio) - 2

    async def test_a_wav_of_unknown_length_gets_its_head_repaired(self, convert: Convert) -> None:
        audio = encoded(tone(2.0), "ogg")

        out, outcome = await convert(audio, replace(KAZOO, source=OGG, target=WAV))

        assert outcome.repaired_head is not None
        repaired = outcome.repaired_head + out[len(outcome.repaired_head) :]
        assert int.from_bytes(repaired[4:8], "little") == len(out) - 8
        assert int.from_bytes(repaired[40:44], "little") == len(out) - 44
        assert outcome.report.warnings == ()

    @pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
    async def test_a_wav_from_a_stream_is_converted_to_its_end(
        self, convert: Convert, size: int
    ) -> None:
        out, outcome = await convert(with_data_size(tone(5.0), size))

        assert outcome.report.error is None
        assert measure(out, "mp3").duration_s == pytest.approx(5.0, abs=0.2)

    async def test_a_chunk_behind_the_audio_is_not_heard(self, convert: Convert) -> None:
        audio = tone(2.0) + b"LIST\x00\x40\x00\x00INFO" + bytes(0x3FFC)

        out, outcome = await convert(audio, replace(KAZOO, target=WAV))

        assert outcome.report.error is None
        assert measure(out).duration_s == pytest.approx(2.0)

    async def test_a_large_file_passes(self, convert: Convert) -> None:
        audio = noise(60.0, rate=48_000, channels=2)

        out, outcome = await convert(audio, replace(KAZOO, target=WAV))

        assert outcome.report.error is None
        assert measure(out).duration_s == pytest.approx(60.0)

    async def test_raw_audio_is_what_its_declared_type_says(self, convert: Convert) -> None:
        audio = encoded(tone(2.0), "ul")

        out, outcome = await convert(audio, replace(KAZOO, source=AudioFormat.PCMU))

        assert outcome.report.error is None
        assert measure(out, "mp3").frequency_hertz == pytest.approx(440, abs=5)

    async def test_clipping_is_a_warning(self, convert: Convert) -> None:
        loud = replace(KAZOO, source_arguments=("-v", "20"))

        _, outcome = await convert(tone(1.0, level_db=-6.0), loud)

        assert outcome.report.error is None
        assert any("clipped" in each for each in outcome.report.warnings)

    async def test_an_mp3_that_ends_within_a_frame_is_a_warning(self, convert: Convert) -> None:
        mp3 = encoded(tone(2.0), "mp3")

        _, outcome = await convert(mp3[:-20], replace(KAZOO, source=MP3))

        assert outcome.report.error is None
        assert outcome.report.warnings == ("the input ends within a frame",)

    @pytest.mark.parametrize("option", ["-G", "--norm=-3"])
    async def test_options_that_need_a_temporary_file_get_one(
        self, convert: Convert, option: str
    ) -> None:
        command = replace(KAZOO, target=WAV, destination_arguments=(option, "-r", "8000"))

        out, outcome = await convert(tone(2.0, rate=16_000), command)

        assert outcome.report.error is None
        assert measure(out).duration_s == pytest.approx(2.0, abs=0.1)


class TestBadInput:
    @pytest.mark.parametrize(
        ("data", "source", "reason"),
        [
            (b"", WAV, "the input is empty"),
            (b"this is no audio at all\n" * 100, WAV, "the input is plain text, not audio"),
            (b"this is no audio at all\n" * 100, AudioFormat.PCMU, "plain text, not audio"),
            (b"%PDF-1.7 " + bytes(1000), MP3, "the input is a PDF document, not audio"),
            (tone(), MP3, "the input is WAV, not MP3"),
            (encoded(tone(), "flac"), MP3, "the input is FLAC, not MP3"),
            (encoded(tone(), "mp3"), WAV, "the input is MP3, not WAV"),
            (tone()[:30], WAV, "the input ends within its WAV header"),
            (tone()[:12] + b"LIST\xff\xff\xff\x7f" + bytes(600), WAV, "ends within its WAV header"),
            (tone(rate=100), WAV, "a sample rate of 100 Hz is not supported"),
            (tone(channels=12), WAV, "12 channels are not supported"),
        ],
    )
    async def test_is_refused_before_sox_sees_it(
        self, convert: Convert, data: bytes, source: AudioFormat, reason: str
    ) -> None:
        never = convert.script("echo started > started")

        found = await convert.reason(data, replace(KAZOO, executable=never, source=source))

        assert reason in found
        assert not (Path(never).parent / "started").exists()

    @pytest.mark.parametrize("seed", range(4))
    async def test_noise_instead_of_an_mp3_is_an_error(self, convert: Convert, seed: int) -> None:
        data = b"\x01" + random.Random(seed).randbytes(20_000)  # sox makes audio of some of them

        reason = await convert.reason(data, replace(KAZOO, source=MP3))

        assert "cannot read" in reason or "no MP3 frames" in reason

    @pytest.mark.parametrize("target", [MP3, WAV, OGG, FLAC])
    @pytest.mark.parametrize("kept", [0.0, 0.5, 0.95])
    async def test_a_cut_wav_is_an_error(
        self, convert: Convert, target: AudioFormat, kept: float
    ) -> None:
        audio = tone(4.0)
        cut = audio[: 44 + int((len(audio) - 44) * kept)]

        assert await convert.reason(cut, replace(KAZOO, target=target))

    @pytest.mark.parametrize("declared", [2, 1000, 40_000, 79_000])
    async def test_a_wav_that_hides_audio_asks_for_a_second_conversion(
        self, convert: Convert, declared: int
    ) -> None:
        audio = with_data_size(noise(5.0), declared)

        _, outcome = await convert(audio)
        again, told = await run_fallback(outcome, audio)

        assert outcome.report.error is not None
        assert "the input has more audio than its header says" in outcome.report.error
        assert (told.report.error, told.fallback) == (None, None)
        assert measure(again, "mp3").duration_s == pytest.approx(5.0, abs=0.2)

    async def test_a_cut_ogg_is_an_error(self, convert: Convert) -> None:
        ogg = encoded(noise(5.0), "ogg")

        reason = await convert.reason(ogg[: len(ogg) // 2], replace(KAZOO, source=OGG))

        assert "is shorter than its header says" in reason

    async def test_a_cut_flac_is_an_error(self, convert: Convert) -> None:
        flac = encoded(noise(5.0), "flac")

        assert await convert.reason(flac[: len(flac) // 2], replace(KAZOO, source=FLAC))

    async def test_a_corrupted_ogg_is_an_error(self, convert: Convert) -> None:
        ogg = bytearray(encoded(noise(5.0), "ogg"))
        for at in range(5000, len(ogg), 100):
            if b"OggS" not in ogg[at - 30 : at + 5]:
                ogg[at] ^= 0xFF

        assert "came out of 5.0 s" in await convert.reason(bytes(ogg), replace(KAZOO, source=OGG))


async def _let_pass(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Return when the clock of the event loop has advanced and its timers have run."""
    loop = asyncio.get_running_loop()
    clock = loop.time
    await _let_others_run()
    monkeypatch.setattr(loop, "time", lambda: clock() + seconds)
    await _let_others_run()


async def _let_others_run() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


_LONG_S = 10 * ConversionLimits().stall_s


class TestSlowUploads:
    async def test_waiting_for_input_is_no_stall(
        self, convert: Convert, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        audio = noise(60.0, rate=16_000)
        async with convert.new() as conversion:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(read_all(conversion))
                await conversion.feed(audio[: len(audio) // 2])
                await _let_pass(_LONG_S, monkeypatch)
                await conversion.feed(audio[len(audio) // 2 :])
                await conversion.finish()
            outcome = await conversion.outcome()

        assert outcome.report.error is None
        assert measure(reading.result(), "mp3").duration_s == pytest.approx(60.0, abs=0.2)

    async def test_waiting_for_a_reader_is_no_stall(
        self, convert: Convert, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        audio = noise(60.0, rate=16_000)
        command = SoxCommand("sox", WAV, WAV)
        async with convert.new(command) as conversion:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(feed_all(conversion, audio))
                out = b""
                async for chunk in conversion.output():
                    if not out:
                        await _let_pass(_LONG_S, monkeypatch)
                    out += chunk
            outcome = await conversion.outcome()

        assert outcome.report.error is None
        assert out == audio
