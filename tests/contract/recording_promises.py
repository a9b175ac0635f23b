"""What every recording promises, on whatever way it comes: one suite for the core and for gRPC on
both engines, through Envoy and without it.

A level subclasses `RecordingDriver` and `RecordingStream`, and `RecordingPromises` as a class
`Test...` with a fixture `driver`.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import google_crc32c
import pytest

from kazoo_media.audio.inspect.wav import parse_wav_header
from kazoo_media.recordings.spec import UploadSpec
from kazoo_media.recordings.time_line import Gap, Pause, PauseMode, Resume
from tests.contract.recording_driver import (
    MULAW,
    SPEC,
    STEREO,
    WAV_SPEC,
    RecordingDriver,
    RecordingRefusedError,
    RecordingStream,
    Seen,
    audio,
)
from tests.contract.upload_promises import PNG, wav


def samples_of(stored: bytes) -> bytes:
    """Return the audio of a WAV whose sizes are those of its bytes."""
    header = parse_wav_header(stored)
    assert header is not None
    assert header.file_bytes == len(stored)
    return stored[header.data_offset : header.data_offset + header.declared_bytes]


async def refused_as(reason: str, stream: RecordingStream, *messages: tuple[Any, ...]) -> Any:
    """Send messages, of which the last is refused; return the facts of the error."""
    with pytest.raises(RecordingRefusedError) as caught:
        await _send(stream, messages)
    assert caught.value.reason == reason
    return caught.value.facts


async def _send(stream: RecordingStream, messages: tuple[Any, ...]) -> None:
    for offset, data, *options in messages:
        await stream.send(offset, data, **(options[0] if options else {}))
    await stream.acknowledged(1 << 40)


class RecordingPromises:
    """The cases."""

    async def test_a_recording_becomes_a_media_with_the_bytes_that_were_sent(
        self, driver: RecordingDriver
    ) -> None:
        data = audio(24_001)
        stream, seen = await driver.open("call-1")
        assert (seen.state, seen.persisted_size, seen.crc32c) == ("receiving", 0, 0)
        for start in range(0, len(data), 2000):
            chunk = data[start : start + 2000]
            await stream.send(start, chunk, crc32c=google_crc32c.value(chunk))
        done = await stream.finish(
            len(data), hashlib.sha256(data).hexdigest(), "hangup", cause="NORMAL"
        )
        assert (done.state, done.persisted_size) == ("finished", len(data))
        assert samples_of(await driver.original(done.media_id)) == data
        document = await driver.document(done.media_id)
        expected = {
            "name": "call",
            "call_id": "c1",
            "cause": "NORMAL",
            "end_reason": "hangup",
            "upload_id": "call-1",
            "media_source": "recording",
            "duration_ms": 3000,
        }
        assert {key: document.get(key) for key in expected} == expected
        assert not {"incomplete", "time_line", "language"} & document.keys()

    async def test_acknowledged_bytes_outlive_a_recorder_that_vanishes_and_it_goes_on(
        self, driver: RecordingDriver
    ) -> None:
        data = audio(40_000)
        stream, _ = await driver.open("call")
        await stream.send(0, data[:10_000])
        seen = await stream.acknowledged(10_000)
        assert seen.crc32c == google_crc32c.value(data[:10_000])
        await stream.vanish()
        stream, seen = await driver.open("call")
        assert (seen.persisted_size, seen.crc32c) == (10_000, google_crc32c.value(data[:10_000]))
        await stream.send(4_000, data[4_000:12_000])  # what is below is skipped
        await stream.send(12_000, data[12_000:])
        done = await stream.finish(len(data), hashlib.sha256(data).hexdigest())
        assert samples_of(await driver.original(done.media_id)) == data

    async def test_a_repeated_finish_gets_the_same_media(self, driver: RecordingDriver) -> None:
        done = await driver.record("call", audio(1000))
        stream, seen = await driver.open("call")
        assert (seen.state, seen.persisted_size) == ("finished", 1000)
        assert await stream.finish(1000) == done
        assert await driver.end("call", keep=True) == done
        with pytest.raises(RecordingRefusedError, match="UPLOAD_ENDED"):
            await driver.end("call", keep=False)
        with pytest.raises(RecordingRefusedError, match="UPLOAD_ENDED"):
            await driver.pause("call", PauseMode.SILENCE)

    async def test_another_stream_takes_over_and_the_first_ends_for_good(
        self, driver: RecordingDriver
    ) -> None:
        first, _ = await driver.open("call")
        await first.send(0, audio(100))
        await first.acknowledged(100)
        second, seen = await driver.open("call")
        assert seen.persisted_size == 100
        facts = await refused_as("TAKEN_OVER", first)
        assert facts == {"upload_id": "call"}
        await second.send(100, audio(60, 1))
        done = await second.finish(160)
        assert samples_of(await driver.original(done.media_id)) == audio(100) + audio(60, 1)

    async def test_a_gap_and_a_bad_checksum_are_refused_and_nothing_else_is_lost(
        self, driver: RecordingDriver
    ) -> None:
        stream, _ = await driver.open("call")
        facts = await refused_as("OFFSET_GAP", stream, (0, audio(10)), (11, b"x"))
        assert facts == {"write_offset": "10"}
        stream, seen = await driver.open("call")
        assert seen.persisted_size == 10
        facts = await refused_as(
            "CHECKSUM_MISMATCH", stream, (10, b"abc"), (13, b"xyz", {"crc32c": 1})
        )
        assert facts == {"write_offset": "13"}
        stream, seen = await driver.open("call")
        assert seen.persisted_size == 13
        done = await stream.finish(13)
        assert samples_of(await driver.original(done.media_id)) == audio(10) + b"abc"

    async def test_a_finish_that_does_not_match_loses_nothing(
        self, driver: RecordingDriver
    ) -> None:
        spec = replace(SPEC, raw=STEREO)
        data = audio(4000)
        for size, sha256, sent, reason in (
            (4001, "", data, "CONTENT_MISMATCH"),
            (4000, "0" * 64, b"", "CONTENT_MISMATCH"),
            (4002, "", b"zz", "VALIDATION"),
        ):
            stream, seen = await driver.open("call", spec)
            await stream.send(seen.persisted_size, sent)
            with pytest.raises(RecordingRefusedError, match=reason):
                await stream.finish(size, sha256)
        stream, seen = await driver.open("call", spec)
        assert seen.persisted_size == 4002
        await stream.send(4002, b"zz")
        done = await stream.finish(4004, hashlib.sha256(data + b"zzzz").hexdigest())
        stored = await driver.original(done.media_id)
        header = parse_wav_header(stored)
        assert header is not None
        assert (header.codec, header.channel_count, header.sample_rate_hertz) == (
            "linear16",
            2,
            16000,
        )
        assert samples_of(stored) == data + b"zzzz"
        assert (await driver.document(done.media_id))["channel_roles"] == ["caller", "callee"]

    async def test_an_unequal_spec_is_another_upload(self, driver: RecordingDriver) -> None:
        await driver.open("call")
        with pytest.raises(RecordingRefusedError, match="SPEC_MISMATCH"):
            await driver.open("call", replace(SPEC, max_bytes=9))

    async def test_a_container_is_kept_byte_for_byte(self, driver: RecordingDriver) -> None:
        data = wav(700_000)
        done = await driver.record("file", data, WAV_SPEC)
        assert await driver.original(done.media_id) == data
        _stream, _ = await driver.open("other", WAV_SPEC)
        with pytest.raises(RecordingRefusedError, match="NOT_RAW_AUDIO"):
            await driver.pause("other", PauseMode.SKIP)

    async def test_what_is_not_audio_stays_readable(self, driver: RecordingDriver) -> None:
        with pytest.raises(RecordingRefusedError, match="NOT_AUDIO"):
            await driver.record("picture", PNG, WAV_SPEC)
        assert (await driver.get("picture")).state == "interrupted"
        async with aclosing(driver.tail("picture")) as tail:  # type: ignore[type-var]
            assert await anext(tail) == PNG
        assert await driver.end("picture", keep=False) == Seen(
            "discarded", len(PNG), google_crc32c.value(PNG)
        )

    async def test_marks_mask_exactly_and_gaps_are_filled(self, driver: RecordingDriver) -> None:
        data = audio(5000)
        stream, _ = await driver.open("call")
        await stream.send(0, data[:1000])
        await stream.send(1000, data[1000:2000], mark=Pause(PauseMode.SILENCE))
        await stream.send(2000, data[2000:3000], mark=Resume())
        await stream.send(3000, data[3000:4000], mark=Pause(PauseMode.SKIP))
        await stream.send(4000, mark=Resume())
        await stream.send(4000, data[4000:], mark=Gap(500), flush=True)
        seen = await stream.acknowledged(5000)
        silent = b"\xff" * 1000
        kept = data[:1000] + silent + data[2000:3000] + silent + data[4000:]
        assert seen.crc32c == google_crc32c.value(kept)
        done = await stream.finish(5000, "0" * 64)  # of what was sent: not compared
        expected = data[:1000] + silent + data[2000:3000] + b"\xff" * 4000 + data[4000:]
        assert samples_of(await driver.original(done.media_id)) == expected
        document = await driver.document(done.media_id)
        assert document["duration_ms"] == 1000
        line = [(each["mark"], each["offset"]) for each in document["time_line"]]
        assert line == [
            ("pause", 1000),
            ("resume", 2000),
            ("pause", 3000),
            ("resume", 4000),
            ("gap", 4000),
        ]

    async def test_a_pause_from_outside_masks_what_is_flushed_from_then_on(
        self, driver: RecordingDriver
    ) -> None:
        stream, _ = await driver.open("call")
        await stream.send(0, audio(800), flush=True)
        await stream.acknowledged(800)
        paused = await driver.pause("call", PauseMode.SILENCE)
        assert (paused.state, paused.pause, paused.persisted_size) == ("paused", "silence", 800)
        await stream.send(800, audio(800), flush=True)
        assert (await stream.acknowledged(1600)).state == "paused"
        assert (await driver.resume("call")).state == "paused"
        await stream.send(1600, audio(800), flush=True)  # may have been on its way
        assert (await stream.acknowledged(2400)).state == "receiving"
        await stream.send(2400, audio(800))
        done = await stream.finish(3200)
        stored = samples_of(await driver.original(done.media_id))
        assert stored[800:1600] == b"\xff" * 800
        assert set(stored[1600:2400]) <= set(audio(800)) | {0xFF}
        assert stored[:800] == stored[2400:] == audio(800)

    async def test_a_tail_plays_what_is_durable_until_the_end(
        self, driver: RecordingDriver
    ) -> None:
        data = audio(3000)
        stream, _ = await driver.open("call")
        await stream.send(0, data[:1000], flush=True)
        await stream.acknowledged(1000)

        async def follow() -> bytes:
            return b"".join([chunk async for chunk in driver.tail("call", 500)])

        following = asyncio.ensure_future(follow())
        await stream.send(1000, data[1000:2000], mark=Pause(PauseMode.SKIP))
        await stream.send(2000, data[2000:], mark=Resume())
        await stream.finish(3000)
        heard = await following
        header = parse_wav_header(heard)
        assert header is not None
        assert not header.size_is_sane  # players read to the end
        expected = data[500:1000] + b"\xff" * 1000 + data[2000:]
        assert heard[header.data_offset :] == expected
        with pytest.raises(RecordingRefusedError, match="RANGE_NOT_SATISFIABLE"):
            await anext(driver.tail("call", 3001))

    async def test_an_abandoned_upload_is_kept_as_incomplete_or_discarded(
        self, driver: RecordingDriver
    ) -> None:
        data = audio(1001)
        stream, _ = await driver.open("kept", replace(SPEC, raw=STEREO))
        await stream.send(0, data)
        await stream.acknowledged(1001)
        done = await driver.end("kept", keep=True)
        assert done.state == "finished"
        await refused_as("TAKEN_OVER", stream)
        assert samples_of(await driver.original(done.media_id)) == data[:1000]
        document = await driver.document(done.media_id)
        assert (document["incomplete"], document["end_reason"]) == (True, "finished_by_request")
        await driver.open("empty")
        assert (await driver.end("empty", keep=True)).state == "discarded"
        await driver.open("gone")
        assert (await driver.end("gone", keep=False)).state == "discarded"
        assert await driver.list() == {
            "empty": "discarded",
            "gone": "discarded",
            "kept": "finished",
        }

    async def test_a_recording_that_is_too_short_is_discarded(
        self, driver: RecordingDriver
    ) -> None:
        spec = replace(SPEC, min_duration_ms=1000)
        for size, state in ((7990, "discarded"), (8000, "finished")):
            assert (await driver.record(f"r{size}", audio(size), spec)).state == state
        short = replace(WAV_SPEC, min_duration_ms=1000)
        assert (await driver.record("file", wav(15_000), short)).state == "discarded"

    @pytest.mark.parametrize(
        "messages",
        [
            [(0, b"RIFF....WAVE")],
            [(0, b"a", {"mark": Gap(0)})],
            [(0, b"a" * (3 * 1024 * 1024 + 1))],
        ],
    )
    async def test_a_message_that_breaks_a_rule_is_refused(
        self, driver: RecordingDriver, messages: Any
    ) -> None:
        stream, _ = await driver.open("call")
        await refused_as("VALIDATION", stream, *messages)

    async def test_more_than_the_spec_allows_is_refused_and_what_is_durable_stays(
        self, driver: RecordingDriver
    ) -> None:
        spec = replace(SPEC, max_bytes=100)
        stream, _ = await driver.open("call", spec)
        facts = await refused_as("TOO_LARGE", stream, (0, audio(100)), (100, b"x"))
        assert facts == {"limit_bytes": "100"}
        _, seen = await driver.open("call", spec)
        assert seen.persisted_size == 100

    @pytest.mark.parametrize("upload_id", ["a/b", "..", "a" * 129, "ä"])
    async def test_an_id_that_could_be_a_path_is_refused(
        self, driver: RecordingDriver, upload_id: str
    ) -> None:
        with pytest.raises(RecordingRefusedError, match="VALIDATION"):
            await driver.open(upload_id)

    @pytest.mark.parametrize(
        "spec",
        [
            replace(SPEC, raw=replace(MULAW, sample_rate_hertz=0)),
            replace(SPEC, raw=replace(MULAW, channel_count=3)),
            replace(SPEC, raw=replace(MULAW, channel_roles=("a", "b"))),
            replace(SPEC, content_type="audio/wav"),
            replace(SPEC, document={"name": "a", "prompt_id": "p"}),
            replace(SPEC, document={"name": ""}),
            replace(SPEC, document={"name": "a", "notes": "x" * 70_000}),
            replace(SPEC, max_bytes=-1),
        ],
    )
    async def test_a_spec_that_breaks_a_rule_is_refused(
        self, driver: RecordingDriver, spec: UploadSpec
    ) -> None:
        with pytest.raises(RecordingRefusedError, match="VALIDATION"):
            await driver.open("call", spec)
        with pytest.raises(RecordingRefusedError, match="UPLOAD_NOT_FOUND"):
            await driver.get("call")
