from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator
from pathlib import Path

from kazoo_media.cli.batch import Outcome, Result
from kazoo_media.cli.prompt_speech import PromptLine, PromptSpeech, prompt_lines
from kazoo_media.client import Client, DownloadContentRequest, Media, MediaSource
from kazoo_media.errors import StorageFullError
from tests.rpc.service import Service
from tests.support.audio_samples import tone


async def spoken(
    client: Client, lines: list[PromptLine], voice: str = "female/de-DE", *, overwrite: bool = False
) -> list[Outcome]:
    work = PromptSpeech(client, "system", "DE-de", voice, overwrite=overwrite)
    return await work.run(lines, 4, lambda *_: None)


def results(outcomes: list[Outcome]) -> list[str]:
    return [each.result.value for each in outcomes]


async def digest(client: Client, media_id: str) -> str:
    return (await client.get_media("system", media_id)).renditions[0].sha256


def test_comments_and_empty_lines_say_nothing(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes(
        "\ufeff# greetings\r\nhello :  Hello: you \r\n\r\n   \n  # more\nbye:Bye # now".encode()
    )
    assert prompt_lines(file) == [
        PromptLine(2, "hello", "Hello: you"),
        PromptLine(6, "bye", "Bye # now"),
    ]


def test_bad_lines_are_reported_with_their_number_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes(b"no colon\n: text\nid:\n\xff: text\na\x07b: text\nid: one\nid: two\n")
    lines = prompt_lines(file)
    assert [each.number for each in lines if each.problem] == [1, 2, 3, 4, 5, 7]
    problems = {each.number: each.problem for each in lines}
    assert "no colon" in problems[1]
    assert "no valid prompt id" in problems[2]
    assert "no text for 'id'" in problems[3]
    assert "UTF-8" in problems[4]
    assert "no valid prompt id" in problems[5]
    assert "line 6 has the same prompt id 'id'" in problems[7]


async def test_a_line_becomes_a_prompt_with_its_audio(client: Client) -> None:
    [outcome] = await spoken(client, [PromptLine(1, "vm-hello", "Guten Tag")])
    media = await client.get_media("system", "de-de/vm-hello")
    assert (outcome.result, outcome.size_bytes) == (Result.SPOKEN, media.content_length)
    assert (media.name, media.prompt_id, media.language) == (media.id, "vm-hello", "de-de")
    assert media.media_source == MediaSource.MEDIA_SOURCE_TTS
    assert (media.tts.text, media.tts.voice) == ("Guten Tag", "female/de-DE")
    assert media.source_type == "kazoo_media_maintenance"
    request = DownloadContentRequest(account_id="system", media_id=media.id)
    async with client.download_stream(request) as download:
        audio = b"".join([data async for data in download])
    with wave.open(io.BytesIO(audio)) as file:
        assert 0.5 < file.getnframes() / file.getframerate() < 3


async def test_what_exists_is_skipped_unless_it_is_to_be_overwritten(client: Client) -> None:
    lines = [PromptLine(1, "one", "eins"), PromptLine(2, "two", "zwei")]
    await client.create_media("system", Media(name="old", prompt_id="two", language="de-de"))
    await client.upload("system", "de-de/two", _stream(tone(0.2)), "audio/wav")
    before = await client.get_media("system", "de-de/two")
    assert results(await spoken(client, lines)) == ["spoken", "skipped"]
    assert await client.get_media("system", "de-de/two") == before

    assert results(await spoken(client, lines, overwrite=True)) == ["overwritten", "overwritten"]
    after = await client.get_media("system", "de-de/two")
    assert (after.name, after.tts.text) == ("de-de/two", "zwei")
    assert after.renditions[0].sha256 != before.renditions[0].sha256

    woman = await digest(client, "de-de/one")
    assert results(await spoken(client, lines, "male/de-DE")) == ["skipped", "skipped"]
    assert await digest(client, "de-de/one") == woman
    await spoken(client, lines, "male/de-DE", overwrite=True)
    assert await digest(client, "de-de/one") != woman


async def test_a_line_that_fails_is_reported_and_the_others_are_spoken(client: Client) -> None:
    lines = [
        PromptLine(1, "good", "gut"),
        PromptLine(2, problem="there is no colon"),
        PromptLine(3, "50%25", "fünfzig"),
        PromptLine(4, "dots", "..."),
        PromptLine(5, "long", "a" * 20_000),
        PromptLine(6, "fine", "fein"),
    ]
    outcomes = await spoken(client, lines)
    assert [each.origin for each in outcomes] == [1, 2, 3, 4, 5, 6]
    assert results(outcomes) == ["spoken", "failed", "failed", "failed", "failed", "spoken"]
    problems = [each.problem for each in outcomes]
    assert problems[1] == "there is no colon"
    assert "percent-encoded" in problems[2]
    assert "nothing to say" in problems[3]
    assert "10000 characters" in problems[4]
    listed = [each async for each in client.list_media_by_language("system", "de-de")]
    assert listed == ["de-de/fine", "de-de/good"]


async def test_a_full_disk_leaves_no_silent_prompt(client: Client, service: Service) -> None:
    service.blobs.write_error = StorageFullError()
    [outcome] = await spoken(client, [PromptLine(1, "hello", "Guten Tag")])
    assert "storage is full" in outcome.problem
    assert [each async for each in client.list_media_by_language("system", "de-de")] == []


async def _stream(data: bytes) -> AsyncIterator[bytes]:
    yield data
