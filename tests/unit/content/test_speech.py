"""Documents that ask for speech, on the core directly and on real stores."""

from __future__ import annotations

import asyncio
import hashlib
import io
import wave
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kazoo_media.access.accounts import AdminScope, WriteScope
from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.errors import (
    ConflictError,
    MediaError,
    MediaNotFoundError,
    PreconditionFailedError,
    SpeechFailedError,
    ValidationError,
)
from kazoo_media.media.uploads import Declared
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.model import Media, Rendition
from tests.contract.upload_promises import wav
from tests.support.core_fixtures import CoreUnderTest, make_core, replace_content
from tests.support.processes import programs

_SCOPE = WriteScope("a" * 32)
_TEXT = "Please leave a message."


@pytest.fixture
async def tested(tmp_path: Path) -> AsyncIterator[CoreUnderTest]:
    metadata = await SqliteMetadataStore.open(tmp_path / "metadata.sqlite", shared=False)
    blobs = LocalBlobStore(tmp_path / "blobs")
    yield await make_core(metadata, blobs, frozenset({"sox", "speaks"}))
    await blobs.aclose()
    await metadata.aclose()


def _document(text: str = _TEXT, voice: str = "female/en-US", **others: Any) -> dict[str, Any]:
    return {"name": "n", "media_source": "tts", "tts": {"text": text, "voice": voice}, **others}


async def _set(tested: CoreUnderTest, category: str, key: str, value: object) -> None:
    await tested.core.settings.put(AdminScope(), category, key, value, node=None)


async def _command(tested: CoreUnderTest, folder: Path, script: str) -> None:
    """Let a script speak."""
    path = folder / "speaks"
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
    await _set(tested, "speech", "tts_command", str(path))
    await _set(tested, "speech", "tts_provider", "command")


async def _update(tested: CoreUnderTest, document: Mapping[str, Any]) -> Media:
    return await tested.core.library.update(_SCOPE, "x", lambda _: document, document)


async def _bytes(tested: CoreUnderTest, rendition: Rendition) -> bytes:
    reader = await tested.blobs.open(rendition.blob_key)
    assert reader is not None
    async with reader:
        return b"".join([chunk async for chunk in reader.read(0, rendition.size_bytes)])


async def _files(tested: CoreUnderTest) -> int:
    return len([blob async for blob in tested.blobs.list()])


async def _key(tested: CoreUnderTest) -> str:
    """Return the name of the audio that a media has now."""
    media = await tested.core.library.get(_SCOPE, "x")
    assert media.content is not None
    return media.content.original.blob_key


async def test_the_audio_is_there_when_create_returns(tested: CoreUnderTest) -> None:
    made = await tested.core.library.create(_SCOPE, _document(), "x")
    assert await tested.core.library.get(_SCOPE, "x") == made
    assert made.content is not None
    audio = await _bytes(tested, made.content.original)
    with wave.open(io.BytesIO(audio)) as file:
        assert file.getnframes() * 2 + 44 == len(audio)
        seconds = file.getnframes() / file.getframerate()
    assert 0.8 < seconds < 4
    assert made.document["duration_ms"] == pytest.approx(seconds * 1000, abs=1)
    assert made.document["content_type"] == made.content.original.content_type == "audio/x-wav"
    assert made.document["content_length"] == len(audio)
    assert made.content.original.sha256 == hashlib.sha256(audio).hexdigest()
    assert made.revision.startswith("1-")


async def test_speech_is_normalized_like_an_upload(tested: CoreUnderTest) -> None:
    await _set(tested, "crossbar.media", "normalize_media", value=True)
    made = await tested.core.library.create(_SCOPE, _document(), "x")
    assert made.content is not None
    assert made.content.normalized is not None
    assert made.document["content_type"] == "audio/mpeg"
    assert made.document["sample_rate_hertz"] == 8000
    assert "normalization_error" not in made.document


@pytest.mark.parametrize("normalize", [False, True])
async def test_a_failure_after_half_of_the_audio_leaves_no_trace(
    tested: CoreUnderTest, tmp_path: Path, *, normalize: bool
) -> None:
    await _set(tested, "crossbar.media", "normalize_media", normalize)
    script = f"espeak-ng --stdout '{_TEXT}' | head -c 30000; echo 'line is busy' >&2; exit 1"
    await _command(tested, tmp_path, script)
    with pytest.raises(SpeechFailedError) as caught:
        await tested.core.library.create(_SCOPE, _document(), "x")
    assert caught.value.kazoo_message == "speaks failed: line is busy"
    with pytest.raises(MediaNotFoundError):
        await tested.core.library.get(_SCOPE, "x")
    assert await _files(tested) == 0
    assert programs() == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("true", "command produced no audio"),
        ("espeak-ng --stdout x | head -c 44", "command produced no audio"),
        ("echo '<html>'", "command did not answer with audio"),
        ("yes | head -c 3000", "command did not answer with audio"),
    ],
)
async def test_what_is_no_speech_is_refused(
    tested: CoreUnderTest, tmp_path: Path, script: str, reason: str
) -> None:
    await _command(tested, tmp_path, script)
    with pytest.raises(SpeechFailedError, match=reason):
        await tested.core.library.create(_SCOPE, _document(), "x")
    assert await _files(tested) == 0


async def test_speech_over_the_size_limit_is_refused(tested: CoreUnderTest) -> None:
    await _set(tested, "crossbar", "max_upload_size", 20_000)
    with pytest.raises(SpeechFailedError, match="too much"):
        await tested.core.library.create(_SCOPE, _document(), "x")
    assert await _files(tested) == 0


async def test_an_id_that_is_taken_costs_no_audio(tested: CoreUnderTest, tmp_path: Path) -> None:
    await _command(tested, tmp_path, f"touch {tmp_path}/spoken; espeak-ng --stdout '{_TEXT}'")
    await tested.core.library.create(_SCOPE, {"name": "n"}, "x")
    with pytest.raises(ConflictError):
        await tested.core.library.create(_SCOPE, _document(), "x")
    assert await _files(tested) == 0
    assert not await asyncio.to_thread((tmp_path / "spoken").exists)
    await tested.core.library.delete(_SCOPE, "x", hard=False)
    with pytest.raises(ConflictError):
        await tested.core.library.create(_SCOPE, _document(), "x")
    assert await _files(tested) == 0


@pytest.mark.parametrize(
    ("tts", "code"),
    [
        ({}, "required"),
        ({"text": ""}, "minLength"),
        ({"text": " ...\n"}, "invalid"),
        ({"text": "?!\u3002\U0001f600"}, "invalid"),
        # An engine would stop at the NUL, and take the other for a command.
        ({"text": "one\0two"}, "invalid"),
        ({"text": "\x0150Pone"}, "invalid"),
        ({"text": "one\x7f"}, "invalid"),
    ],
)
async def test_there_must_be_something_to_say(
    tested: CoreUnderTest, tts: dict[str, str], code: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        await tested.core.library.create(_SCOPE, {**_document(), "tts": tts}, "x")
    assert [(each.field, each.code) for each in caught.value.violations] == [("tts.text", code)]


async def test_white_space_is_no_control_character(tested: CoreUnderTest) -> None:
    made = await tested.core.library.create(_SCOPE, _document("one\r\n\ttwo"), "x")
    assert made.document["duration_ms"] > 500


async def test_a_text_has_a_longest_length(tested: CoreUnderTest) -> None:
    await _set(tested, "speech", "tts_max_text_length", len(_TEXT) - 1)
    with pytest.raises(ValidationError) as caught:
        await tested.core.library.create(_SCOPE, _document(), "x")
    assert [each.code for each in caught.value.violations] == ["maxLength"]


async def test_the_longest_text_is_spoken(tested: CoreUnderTest) -> None:
    await _set(tested, "speech", "tts_max_text_length", 16_000)
    made = await tested.core.library.create(_SCOPE, _document("\U0001d7d9" * 15_999 + "1"), "x")
    assert made.document["duration_ms"] > 300


async def test_the_same_text_and_voice_is_not_spoken_again(tested: CoreUnderTest) -> None:
    await tested.core.library.create(_SCOPE, _document(), "x")
    before = await _key(tested)
    changed = await _update(tested, _document(voice="FEMALE/en-us", description="d"))
    assert changed.document["description"] == "d"
    await tested.core.library.patch(_SCOPE, "x", {"name": "m", "tts": {"text": _TEXT}})
    assert await _key(tested) == before


async def test_another_text_or_voice_replaces_document_and_audio(tested: CoreUnderTest) -> None:
    first = await tested.core.library.create(_SCOPE, _document(), "x")
    second = await _update(tested, _document(_TEXT * 2))
    assert second.document["duration_ms"] > 1.5 * first.document["duration_ms"]
    assert second.revision.startswith("2-")
    assert await tested.core.library.get(_SCOPE, "x") == second
    keys = {await _key(tested)}
    changes: dict[str, Any] = {"tts": {"voice": "male/en-US"}}
    patched = await tested.core.library.patch(_SCOPE, "x", changes)
    assert patched.document["tts"] == {"text": _TEXT * 2, "voice": "male/en-US"}
    assert await _key(tested) not in keys


async def test_speech_that_fails_keeps_document_and_audio(tested: CoreUnderTest) -> None:
    made = await tested.core.library.create(_SCOPE, _document(), "x")
    with pytest.raises(SpeechFailedError, match="kanji"):
        await _update(tested, _document("日本", "female/ja-JP", name="m"))
    changes = {"name": "m", "tts": {"text": "日本", "voice": "female/ja-JP"}}
    with pytest.raises(SpeechFailedError, match="kanji"):
        await tested.core.library.patch(_SCOPE, "x", changes)
    assert await tested.core.library.get(_SCOPE, "x") == made
    assert await _files(tested) == 1


async def test_a_stale_condition_says_nothing(tested: CoreUnderTest) -> None:
    await tested.core.library.create(_SCOPE, _document(), "x")
    with pytest.raises(PreconditionFailedError):
        await tested.core.library.update(
            _SCOPE, "x", lambda _: _document("bye"), _document("bye"), "9-ff"
        )
    assert await _files(tested) == 1


async def test_a_document_that_becomes_speech_gets_audio(tested: CoreUnderTest) -> None:
    await tested.core.library.create(_SCOPE, {"name": "n", "tts": {"text": _TEXT}}, "x")
    spoken = await tested.core.library.patch(_SCOPE, "x", {"media_source": "tts"})
    assert spoken.content is not None


async def test_a_document_that_is_no_speech_any_more_keeps_its_audio(
    tested: CoreUnderTest,
) -> None:
    spoken = await tested.core.library.create(_SCOPE, _document(), "x")
    before = await _key(tested)
    changes = {"media_source": "recording", "tts": {"text": "not to be spoken"}}
    changed = await tested.core.library.patch(_SCOPE, "x", changes)
    assert changed.content == spoken.content
    assert await _key(tested) == before
    again = await tested.core.library.patch(_SCOPE, "x", {"media_source": "tts"})
    assert again.document["tts"]["text"] == "not to be spoken"
    assert await _key(tested) != before


async def test_a_text_that_changes_alone_is_spoken_by_the_same_voice(tested: CoreUnderTest) -> None:
    await tested.core.library.create(_SCOPE, _document("one", "male/en-GB"), "x")
    patched = await tested.core.library.patch(_SCOPE, "x", {"tts": {"text": "two"}})
    alone = await tested.core.library.create(_SCOPE, _document("two", "male/en-GB"), "y")
    assert patched.document["tts"] == {"text": "two", "voice": "male/en-GB"}
    assert patched.content is not None
    assert alone.content is not None
    assert patched.content.original.sha256 == alone.content.original.sha256


@pytest.mark.parametrize("hard", [False, True])
async def test_speech_that_is_deleted_is_spoken_no_more(
    tested: CoreUnderTest, *, hard: bool
) -> None:
    await tested.core.library.create(_SCOPE, _document(), "x")
    await tested.core.library.delete(_SCOPE, "x", hard=hard)
    with pytest.raises(MediaNotFoundError):
        await tested.core.library.patch(_SCOPE, "x", {"tts": {"text": "more"}})
    if not hard:
        with pytest.raises(ConflictError):
            await tested.core.library.create(_SCOPE, _document(), "x")
        await tested.core.library.purge(_SCOPE, 2**53)
    made = await tested.core.library.create(_SCOPE, _document(), "x")
    assert made.content is not None


async def test_audio_that_was_uploaded_over_speech_stays(tested: CoreUnderTest) -> None:
    await tested.core.library.create(_SCOPE, _document(), "x")

    async def upload() -> AsyncIterator[bytes]:
        yield wav(4000)

    await replace_content(tested.core, _SCOPE, "x", Declared("audio/wav"), upload())
    before = await _key(tested)
    await _update(tested, _document(description="d"))
    assert await _key(tested) == before


async def test_of_racing_changes_none_is_lost_and_audio_fits_the_text(
    tested: CoreUnderTest,
) -> None:
    await tested.core.library.create(_SCOPE, _document("1"), "x")
    patch = tested.core.library.patch
    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(patch(_SCOPE, "x", {f"key{number}": number}))
            tasks.create_task(patch(_SCOPE, "x", {"tts": {"text": "one " * 8 ** (number % 2 + 1)}}))
    after = await tested.core.library.get(_SCOPE, "x")
    assert after.document.items() >= {f"key{number}": number for number in range(5)}.items()
    alone = await tested.core.library.create(_SCOPE, _document(after.document["tts"]["text"]), "y")
    assert after.document["duration_ms"] == alone.document["duration_ms"]
    pending = [row for row in await tested.metadata.list_blobs("", 100) if row.state == "pending"]
    assert pending == []


async def test_a_create_that_is_cancelled_leaves_no_trace(
    tested: CoreUnderTest, tmp_path: Path
) -> None:
    await _command(
        tested, tmp_path, f"espeak-ng --stdout '{_TEXT}'; touch {tmp_path}/spoken; sleep 60"
    )
    spoken = tmp_path / "spoken"
    creating = asyncio.ensure_future(tested.core.library.create(_SCOPE, _document(), "x"))
    while not spoken.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    with pytest.raises(MediaError):
        await tested.core.library.get(_SCOPE, "x")
    assert await _files(tested) == 0
    assert programs() == []


async def test_a_program_that_was_not_permitted_can_not_be_set(tested: CoreUnderTest) -> None:
    for program in ("/bin/bash", "speaks/../bash", "./speaks"):
        with pytest.raises(ValidationError, match="sox, speaks"):
            await _set(tested, "speech", "tts_command", program)


async def test_a_command_that_is_not_set_says_so(tested: CoreUnderTest) -> None:
    await _set(tested, "speech", "tts_provider", "command")
    with pytest.raises(SpeechFailedError, match="tts_command"):
        await tested.core.library.create(_SCOPE, _document(), "x")


async def test_ispeech_that_can_not_be_reached_leaves_no_trace(tested: CoreUnderTest) -> None:
    await _set(tested, "speech", "tts_provider", "ispeech")
    await _set(tested, "speech", "tts_url_ispeech", "http://127.0.0.1:1/api/json")
    with pytest.raises(SpeechFailedError, match="accessing provider"):
        await tested.core.library.create(_SCOPE, _document(), "x")
    assert await _files(tested) == 0


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ispeech.org", "http://", "http://a b"])
async def test_only_a_url_of_the_web_is_an_address(tested: CoreUnderTest, url: str) -> None:
    with pytest.raises(ValidationError, match="http://"):
        await _set(tested, "speech", "tts_url_ispeech", url)


async def test_flite_speaks_for_documents_too(tested: CoreUnderTest) -> None:
    await _set(tested, "speech", "tts_provider", "flite")
    made = await tested.core.library.create(_SCOPE, _document(), "x")
    assert made.document["sample_rate_hertz"] == 16_000
