from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kazoo_media.cli.batch import Outcome, Result
from kazoo_media.cli.prompt_import import PromptImport, hidden_files, prompt_files
from kazoo_media.client import Client, DownloadContentRequest, Media, MediaServiceError
from kazoo_media.errors import StorageFullError, StoreUnavailableError
from tests.rpc.service import Service
from tests.support.audio_samples import tone

FIRST, SECOND = tone(0.2, frequency_hertz=300), tone(0.3, frequency_hertz=600)


async def imported(client: Client, folder: Path, language: str = "en-us") -> list[Outcome]:
    paths = await asyncio.to_thread(prompt_files, folder)
    return await PromptImport(client, "system", language).run(paths, 4, lambda *_: None)


async def audio(client: Client, media_id: str) -> bytes:
    request = DownloadContentRequest(account_id="system", media_id=media_id)
    async with client.download_stream(request) as download:
        return b"".join([data async for data in download])


def results(outcomes: list[Outcome]) -> dict[str, str]:
    return {str(each.origin): each.result.value for each in outcomes}


def test_only_wav_and_mp3_files_directly_in_the_folder_are_prompts(tmp_path: Path) -> None:
    for name in ("b.WAV", "a.mp3", "notes.txt", ".wav", "c.wav.bak"):
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "folder.wav" / "inner.wav").touch()
    assert [path.name for path in prompt_files(tmp_path)] == ["a.mp3", "b.WAV"]


def test_hidden_files_are_skipped_by_name(tmp_path: Path) -> None:
    for name in (".a.wav", "._a.wav", "._b.MP3", "a.wav", "..wav", ".notes.txt", ".wav"):
        (tmp_path / name).touch()
    assert [path.name for path in prompt_files(tmp_path)] == ["a.wav"]
    skipped = {"..wav", "._a.wav", "._b.MP3", ".a.wav"}
    assert results(hidden_files(tmp_path)) == dict.fromkeys(skipped, "skipped")


async def test_a_file_becomes_the_document_that_kazoo_makes(client: Client, tmp_path: Path) -> None:
    (tmp_path / "vm-enter_pass.wav").write_bytes(FIRST)
    [outcome] = await imported(client, tmp_path, "FR-fr")
    assert (outcome.result, outcome.size_bytes) == (Result.IMPORTED, len(FIRST))
    media = await client.get_media("system", "fr-fr/vm-enter_pass")
    assert media.name == "fr-fr/vm-enter_pass"
    assert media.prompt_id == "vm-enter_pass"
    assert media.language == "fr-fr"
    assert media.description == "System prompt in fr-fr for vm-enter_pass"
    assert media.source_type == "kazoo_media_maintenance"
    assert media.streamable
    assert await audio(client, media.id) == FIRST


async def test_an_existing_prompt_gets_new_audio_and_a_new_document(
    client: Client, tmp_path: Path
) -> None:
    await client.create_media(
        "system", Media(name="old", prompt_id="hello", language="en-us", streamable=False)
    )
    (tmp_path / "hello.wav").write_bytes(FIRST)
    assert results(await imported(client, tmp_path)) == {"hello.wav": "overwritten"}
    media = await client.get_media("system", "en-us/hello")
    assert (media.name, media.streamable) == ("en-us/hello", True)
    (tmp_path / "hello.wav").write_bytes(SECOND)
    assert results(await imported(client, tmp_path)) == {"hello.wav": "overwritten"}
    assert await audio(client, "en-us/hello") == SECOND


async def test_bad_files_are_reported_with_their_reason_and_the_others_go_on(
    client: Client, tmp_path: Path
) -> None:
    (tmp_path / "good.wav").write_bytes(FIRST)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("%PDF-1.7 is not audio\n" * 50)
    (tmp_path / "50%25.wav").write_bytes(FIRST)
    (tmp_path / "twice.mp3").write_bytes(FIRST)
    (tmp_path / "twice.wav").write_bytes(FIRST)
    (tmp_path / "line\nbreak.wav").write_bytes(FIRST)
    (tmp_path / "unreadable.wav").symlink_to("/proc/self/mem")
    outcomes = await imported(client, tmp_path)
    assert {name for name, result in results(outcomes).items() if result == "imported"} == {
        "good.wav",
        "twice.mp3",
    }
    problems = {str(each.origin): each.problem for each in outcomes if each.problem}
    assert "percent-encoded" in problems["50%25.wav"]
    assert "twice.mp3" in problems["twice.wav"]
    assert "control characters" in problems["line\nbreak.wav"]
    assert "not audio" in problems["text.mp3"]
    assert problems["empty.wav"]
    assert problems["unreadable.wav"]


async def test_a_refused_file_leaves_no_silent_prompt(client: Client, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    await imported(client, tmp_path)
    with pytest.raises(MediaServiceError, match="does not exist"):
        await client.get_media("system", "en-us/empty")


async def test_a_refused_file_leaves_the_prompt_that_was_there(
    client: Client, service: Service, tmp_path: Path
) -> None:
    (tmp_path / "hello.wav").write_bytes(FIRST)
    await imported(client, tmp_path)
    before = await client.get_media("system", "en-us/hello")
    service.blobs.write_error = StorageFullError()
    (tmp_path / "hello.wav").write_bytes(SECOND)
    assert results(await imported(client, tmp_path)) == {"hello.wav": "failed"}
    assert await client.get_media("system", "en-us/hello") == before


async def test_a_store_that_is_away_for_a_moment_costs_no_file(
    client: Client, service: Service, tmp_path: Path
) -> None:
    (tmp_path / "hello.wav").write_bytes(FIRST)
    service.blobs.write_error = StoreUnavailableError()

    async def recover() -> None:
        await service.blobs.refused.wait()
        service.blobs.write_error = None

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(recover())
        importing = tasks.create_task(imported(client, tmp_path))
    assert results(importing.result()) == {"hello.wav": "imported"}


async def test_an_interrupted_import_leaves_no_silent_prompt(
    client: Client, tmp_path: Path
) -> None:
    for number in range(40):
        (tmp_path / f"p{number}.wav").write_bytes(FIRST)
    paths = await asyncio.to_thread(prompt_files, tmp_path)
    enough = asyncio.Event()
    work = PromptImport(client, "system", "en-us")
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work.run(paths, 8, lambda *_: enough.set()))
        await enough.wait()
        task.cancel()
    ids = [each async for each in client.list_media_by_language("system", "en-us")]
    assert 0 < len(ids) < 40
    for media_id in ids:
        assert (await client.get_media("system", media_id)).content_length == len(FIRST)
