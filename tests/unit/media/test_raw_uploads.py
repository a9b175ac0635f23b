"""Uploads of audio without magic: its type or its file name tells what it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import pytest_asyncio

from kazoo_media.access.accounts import WriteScope
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.crossbar.dispositions import content_disposition
from kazoo_media.errors import UnsupportedMediaTypeError
from kazoo_media.media.uploads import Declared
from kazoo_media.model import Media, RenditionKind
from tests.support.audio_samples import contained, measure, tone
from tests.support.core_fixtures import (
    CoreUnderTest,
    make_core,
    replace_content,
    source_of,
    stored_bytes,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")  # starting a pool takes half a second

_SCOPE = WriteScope("a" * 32)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tested(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CoreUnderTest]:
    pool = ConverterPool(tmp_path_factory.mktemp("conversions"))
    yield await make_core(pool=pool)
    await pool.aclose()


def _samples(rate: int, *, channels: int = 1, swapped: bool = False) -> bytes:
    little = tone(2.0, rate=rate, channels=channels)[44:]
    return np.frombuffer(little, "<i2").byteswap().tobytes() if swapped else little


async def _uploaded(tested: CoreUnderTest, audio: bytes, declared: Declared) -> Media:
    media = await tested.core.library.create(_SCOPE, {"name": "n"}, "")
    return await replace_content(tested.core, _SCOPE, media.id, declared, source_of(audio))


_L16 = _samples(16_000, swapped=True)


@dataclass(frozen=True)
class _Raw:
    declared: Declared
    audio: bytes
    stored: str
    extension: str
    rate: int
    channels: int = 1


_RAW = [
    _Raw(Declared("audio/L16; rate=16000"), _L16, "audio/l16;rate=16000", "l16", 16_000),
    _Raw(
        Declared('audio/l16;channels=2;rate="44100"'),
        _samples(44_100, channels=2, swapped=True),
        "audio/l16;rate=44100;channels=2",
        "l16",
        44_100,
        2,
    ),
    _Raw(Declared("audio/x-sln"), _samples(8000), "audio/x-sln;rate=8000", "sln", 8000),
    _Raw(
        Declared("audio/x-sln;rate=16000"),
        _samples(16_000),
        "audio/x-sln;rate=16000",
        "sln16",
        16_000,
    ),
    _Raw(
        Declared("application/octet-stream", file_name="hold.sln44"),
        _samples(44_100),
        "audio/x-sln;rate=44100",
        "sln44",
        44_100,
    ),
    _Raw(
        Declared(file_name="a.G722"),
        contained(tone(2.0, rate=16_000), "a.g722", "-f", "g722"),
        "audio/g722",
        "g722",
        16_000,
    ),
]


@pytest.mark.parametrize("preset", ["kazoo", "telephony"])
@pytest.mark.parametrize("raw", _RAW, ids=lambda raw: raw.stored)
async def test_it_is_stored_under_its_type_and_converted(
    tested: CoreUnderTest, preset: str, raw: _Raw
) -> None:
    media = await _uploaded(tested, raw.audio, replace(raw.declared, preset=preset))

    assert "normalization_error" not in media.document
    assert media.content is not None
    original = media.content.original
    assert original.content_type == raw.stored
    assert media.document["renditions"]["original"]["duration_ms"] == 2000
    facts = original.facts
    assert (facts.sample_rate_hertz, facts.channel_count) == (raw.rate, raw.channels)
    disposition = content_disposition(media, original, "", inline=False)
    assert disposition == f'attachment; filename="n.{raw.extension}"'
    assert await stored_bytes(tested.core, _SCOPE, media.id, RenditionKind.ORIGINAL) == raw.audio
    heard = measure(await stored_bytes(tested.core, _SCOPE, media.id, None), "mp3")
    assert heard.duration_s == pytest.approx(2.0, abs=0.2)
    assert heard.frequency_hertz == pytest.approx(440, rel=0.01)


async def test_what_is_stored_is_measured_and_converted_again(tested: CoreUnderTest) -> None:
    media = await _uploaded(tested, _L16, Declared("audio/l16;rate=16000"))

    measured = await tested.core.measuring.measured(media)
    again = await tested.core.renormalization.normalize(_SCOPE, media.id, preset="telephony")

    assert measured.document["loudness_lufs"] == pytest.approx(-12, abs=3)
    assert again.media.document["duration_ms"] == pytest.approx(2000, abs=200)
    heard = measure(await stored_bytes(tested.core, _SCOPE, media.id, None), "mp3")
    assert heard.frequency_hertz == pytest.approx(440, rel=0.01)


@pytest.mark.parametrize(
    ("content_type", "reason"),
    [
        ("audio/l16", "the type needs its sample rate, for example audio/l16;rate=16000"),
        ("audio/l16;rate=1", "a sample rate of 1 Hz is not supported"),
        ("audio/x-sln;rate=8000;channels=9", "9 channels are not supported"),
    ],
)
async def test_a_type_that_does_not_tell_enough_is_refused(
    tested: CoreUnderTest, content_type: str, reason: str
) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match=reason):
        await _uploaded(tested, _L16, Declared(content_type))


async def test_a_file_with_magic_is_what_it_is_whatever_its_type_says(
    tested: CoreUnderTest,
) -> None:
    media = await _uploaded(tested, tone(1.0), Declared("audio/l16;rate=16000"))
    assert media.document["content_type"] == "audio/x-wav"
    aiff = contained(tone(1.0), "a.aiff")
    media = await _uploaded(tested, aiff, Declared("audio/x-wav"))
    assert media.document["content_type"] == "audio/aiff"
