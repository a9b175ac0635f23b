"""Which voices there are, and which a document may have, on the core directly."""

from __future__ import annotations

from typing import Any

import pytest

from kazoo_media.access.accounts import AdminScope, WriteScope
from kazoo_media.errors import SpeechFailedError, ValidationError
from tests.support.core_fixtures import CoreUnderTest, make_core

_SCOPE = WriteScope("a" * 32)


@pytest.fixture
async def tested() -> CoreUnderTest:
    return await make_core()


def _document(voice: str) -> dict[str, Any]:
    return {"name": "n", "media_source": "tts", "tts": {"text": "hello", "voice": voice}}


async def _provider(tested: CoreUnderTest, name: str) -> None:
    await tested.core.settings.put(AdminScope(), "speech", "tts_provider", name, node=None)


async def test_the_voices_are_those_of_the_provider_that_speaks(tested: CoreUnderTest) -> None:
    for provider, engine_voice in (
        ("espeak", "en-us+f3"),
        ("flite", "slt"),
        ("command", "female/en-US"),
        ("ispeech", "usenglishfemale"),
    ):
        await _provider(tested, provider)
        found = await tested.core.speech.voices()
        assert found.provider == provider
        assert (found.voices[0].name, found.voices[0].engine_voice) == (
            "female/en-US",
            engine_voice,
        )


async def test_a_voice_may_be_named_as_the_engine_names_it(tested: CoreUnderTest) -> None:
    create = tested.core.library.create
    own = await create(_SCOPE, _document(voice="DE+F3"), "x")
    kazoos = await create(_SCOPE, _document(voice="female/de-DE"), "y")
    assert own.document["tts"]["voice"] == "DE+F3"
    assert own.content is not None
    assert kazoos.content is not None
    assert own.content.original.sha256 == kazoos.content.original.sha256


async def test_another_engines_voice_is_not_in_the_list(tested: CoreUnderTest) -> None:
    await tested.core.library.create(_SCOPE, {"name": "n", "tts": {"voice": "slt"}}, "kept")
    with pytest.raises(ValidationError) as caught:
        await tested.core.library.create(_SCOPE, _document(voice="slt"), "x")
    [violation] = caught.value.violations
    assert (violation.field, violation.code) == ("tts.voice", "enum")
    assert {"en-us+f3", "female/en-US"} <= set(violation.extra["target"])


@pytest.mark.parametrize("voice", ["female/fr-FR", "de-DE-Wavenet-A"])
async def test_a_voice_of_kazoos_that_the_engine_lacks_fails_in_kazoos_word(
    tested: CoreUnderTest, voice: str
) -> None:
    await _provider(tested, "flite")
    with pytest.raises(SpeechFailedError, match=f"^invalid_voice: flite has no voice '{voice}'"):
        await tested.core.library.create(_SCOPE, _document(voice=voice), "x")
