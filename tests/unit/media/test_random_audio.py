"""Whatever is uploaded: its tone and its length come out, or the document says why not.

More examples: RANDOM_AUDIO_EXAMPLES=500 pytest -s tests/unit/media/test_random_audio.py; another
seed: RANDOM_AUDIO_SEED=2.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from kazoo_media.access.accounts import AdminScope, WriteScope
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.errors import MediaError
from kazoo_media.media.uploads import Declared
from tests.support.audio_samples import measure
from tests.support.core_fixtures import (
    CoreUnderTest,
    make_core,
    replace_content,
    source_of,
    stored_bytes,
)
from tests.support.random_audio import FREQUENCY_HERTZ, RandomAudio, random_audio
from tests.support.repetitions import repetitions

pytestmark = pytest.mark.asyncio(loop_scope="module")  # starting a pool takes half a second

_EXAMPLES = int(os.environ.get("RANDOM_AUDIO_EXAMPLES", repetitions(40, 400)))
_SEED = os.environ.get("RANDOM_AUDIO_SEED", "1")
_SCOPE = WriteScope("a" * 32)
_FRAME_S = 0.072
_ENCODER_S = 0.22  # silence that an encoder of MP3 at 8 kHz adds at both ends
_REFUSALS = {"NOT_AUDIO", "UNSUPPORTED_MEDIA_TYPE"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tested(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CoreUnderTest]:
    pool = ConverterPool(tmp_path_factory.mktemp("conversions"))
    yield await make_core(pool=pool)
    await pool.aclose()


@pytest.mark.timeout(max(60, _EXAMPLES * 3))
async def test_the_tone_comes_out_or_the_document_says_why_not(tested: CoreUnderTest) -> None:
    print(f"{_EXAMPLES} examples of seed {_SEED}")
    problems = []
    for number in range(_EXAMPLES):
        seed = f"{_SEED}-{number}"
        audio = random_audio(seed)
        choice = random.Random(seed)
        preset = choice.choice(("kazoo", "telephony", "voicemail", "loudness"))
        backend = choice.choice(("auto", "auto", "sox"))
        if preset == "loudness":
            backend = "auto"  # sox cannot make it
        problem = await _problem(tested, audio, preset, backend)
        if problem:
            problems.append(f"{seed}: {audio.what} by {preset} ({backend}): {problem}")
    assert not problems, "\n" + "\n".join(problems)


async def _problem(tested: CoreUnderTest, audio: RandomAudio, preset: str, backend: str) -> str:
    """Return what is wrong with the result of an upload, or nothing."""
    core = tested.core
    await core.settings.put(AdminScope(), "media", "normalize_backend", backend, node=None)
    media = await core.library.create(_SCOPE, {"name": "n"}, "")
    declared = Declared(audio.content_type, preset=preset)
    try:
        media = await replace_content(core, _SCOPE, media.id, declared, source_of(audio.data))
    except MediaError as error:
        return "" if error.reason in _REFUSALS and not audio.is_plain else repr(error)
    document = media.document
    error_text = document.get("normalization_error", "")
    if error_text:
        is_plainly_said = ": " in error_text and "SIG" not in error_text
        return "" if is_plainly_said and not audio.is_plain else error_text
    made = await stored_bytes(core, _SCOPE, media.id, None)
    return _difference(made, audio, document)


def _difference(made: bytes, audio: RandomAudio, document: Mapping[str, Any]) -> str:
    heard = measure(made, "mp3")
    warning = document.get("normalization_warning", "")
    if heard.level_db < -35:
        return f"silence: {heard.level_db:.0f} dB, {warning}"
    if warning:
        return "" if not audio.is_plain else f"warning: {warning}"
    if heard.frequency_hertz != pytest.approx(FREQUENCY_HERTZ, rel=0.01):
        return f"{heard.frequency_hertz:.0f} Hz"
    low = audio.seconds * (0.8 if audio.is_cut else 0.98) - _FRAME_S - (0.3 if audio.is_cut else 0)
    high = audio.seconds * (1.2 if audio.is_cut else 1.02) + _FRAME_S
    high += _ENCODER_S * (1 + audio.files)
    if not low <= heard.duration_s <= high:
        return f"{heard.duration_s:.2f} s of {audio.seconds:.2f} s"
    known_ms = document["renditions"]["original"].get("duration_ms", audio.seconds * 1000)
    surplus_s = known_ms / 1000 - audio.seconds
    if audio.is_plain and not -_FRAME_S < surplus_s < audio.seconds * 0.02 + _ENCODER_S:
        return f"the original has {known_ms} ms of {audio.seconds:.2f} s"
    return ""
