"""Speech by programs: the voices they have, and what happens to programs that misbehave."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import wave
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.inspect.wav import repaired_head
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.running.program import Program
from kazoo_media.audio.speech.command import SpeechCommand
from kazoo_media.audio.speech.espeak import Espeak
from kazoo_media.audio.speech.flite import Flite
from kazoo_media.audio.speech.ispeech import ISpeech, ISpeechOptions
from kazoo_media.audio.speech.program import SpeechProgram
from kazoo_media.audio.speech.provider import LOCALES, VOICE_NAMES, SpeechProvider, Voice
from kazoo_media.errors import SpeechFailedError
from tests.support.processes import groups, programs
from tests.support.product import is_alive, wait_until


def _voice(provider: SpeechProvider, name: str) -> Voice:
    found = provider.find(name)
    assert found is not None
    return found


async def _spoken(provider: SpeechProvider, voice: str, text: str = "1 2 3 4 5 6 7 8 9") -> bytes:
    async with aclosing(provider.speak(text, _voice(provider, voice))) as speech:
        whole = b"".join([chunk async for chunk in speech])
    return repaired_head(whole, len(whole))


def _pitch_hertz(audio: bytes) -> float:
    """Return the median pitch of the voiced parts, by autocorrelation."""
    with wave.open(io.BytesIO(audio)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(float)
    length, found = rate // 20, []
    for at in range(0, len(samples) - length, length):
        part = samples[at : at + length] - samples[at : at + length].mean()
        curve = np.correlate(part, part, "full")[length - 1 :]
        low, high = rate // 400, rate // 70
        best = low + int(np.argmax(curve[low:high]))
        if curve[0] > length * 1e5 and curve[best] > 0.5 * curve[0]:
            found.append(rate / best)
    return float(np.median(found))


@pytest.mark.parametrize("locale", LOCALES)
async def test_in_every_locale_espeak_has_a_woman_and_a_man(locale: str, tmp_path: Path) -> None:
    espeak = Espeak(Confinement(tmp_path))
    woman = _pitch_hertz(await _spoken(espeak, f"female/{locale}"))
    man = _pitch_hertz(await _spoken(espeak, f"male/{locale}"))
    assert woman > 1.4 * man


async def test_chinese_is_read_as_chinese(tmp_path: Path) -> None:
    espeak = Espeak(Confinement(tmp_path))
    chinese = await _spoken(espeak, "male/zh-CN", "请留言" * 4)
    # Read as "Chinese letter" or spelled in English it takes several times as long.
    assert len(chinese) < 5 * len(await _spoken(espeak, "male/zh-CN", "qing3 liu2 yan2"))


async def test_kanji_are_refused_and_kana_are_spoken(tmp_path: Path) -> None:
    with pytest.raises(SpeechFailedError, match=r"kanji '日'.*kana"):
        await _spoken(Espeak(Confinement(tmp_path)), "female/ja-JP", "日本")
    assert len(await _spoken(Espeak(Confinement(tmp_path)), "female/ja-JP", "こんにちは")) > 20_000


@pytest.mark.parametrize(
    "text",
    [
        "--help",
        "-f /etc/passwd",
        "<speak>hello</speak>",
        "a\nb",
        "a\r\n\tb",
        "[[a",
        "$(date) `date` '\" \\ %s %n",
    ],
)
@pytest.mark.parametrize("provider", [Espeak, Flite])
async def test_a_text_is_spoken_whatever_it_looks_like(
    provider: type[Espeak | Flite], text: str, tmp_path: Path
) -> None:
    assert len(await _spoken(provider(Confinement(tmp_path)), "female/en-US", text)) > 5_000


@pytest.mark.parametrize("sounds", ["[[h@loU]]", "[[[h@loU]]", "a [[[[h@loU]]"])
async def test_phonemes_are_spoken_as_the_letters_that_they_are_written_with(
    tmp_path: Path, sounds: str
) -> None:
    espeak = Espeak(Confinement(tmp_path))
    letters = len(await _spoken(espeak, "female/en-US", sounds.replace("[", " ")))
    assert len(await _spoken(espeak, "female/en-US", sounds)) > 0.8 * letters


async def test_a_tag_commands_nothing(tmp_path: Path) -> None:
    espeak = Espeak(Confinement(tmp_path))
    pause = await _spoken(espeak, "female/en-US", 'one <break time="9s"/> two')
    with wave.open(io.BytesIO(pause)) as file:
        assert file.getnframes() / file.getframerate() < 8


async def test_the_speaker_in_a_voice_is_ignored_and_case_too(tmp_path: Path) -> None:
    espeak = Espeak(Confinement(tmp_path))
    plain = await _spoken(espeak, "female/en-US")
    assert await _spoken(espeak, "FEMALE/EN-us/allison") == plain


_HERE = Path()
_PROVIDERS = (
    Espeak(Confinement(_HERE)),
    Flite(Confinement(_HERE)),
    SpeechCommand("speaks", Confinement(_HERE)),
    ISpeech(ISpeechOptions("", "", 0, 0, 0)),
)


@pytest.mark.parametrize("provider", _PROVIDERS, ids=lambda provider: provider.title)
def test_voices_are_found_by_kazoos_name_and_the_engines_in_any_case(
    provider: SpeechProvider,
) -> None:
    names = [voice.name for voice in provider.voices]
    assert names == [name for name in VOICE_NAMES if name in names]
    for voice in provider.voices:
        for name in (voice.name, voice.name.upper(), f"{voice.name.lower()}/allison"):
            assert _voice(provider, name).name == voice.name
        own = _voice(provider, voice.engine_voice.upper())
        assert own.engine_voice.lower() == voice.engine_voice.lower()


def test_every_locale_has_both_genders_where_an_engine_speaks_it(tmp_path: Path) -> None:
    confinement = Confinement(tmp_path)
    assert [voice.name for voice in Espeak(confinement).voices] == list(VOICE_NAMES)
    assert [voice.name for voice in SpeechCommand("", confinement).voices] == list(VOICE_NAMES)
    assert {voice.locale for voice in Flite(confinement).voices} == {
        "en-US",
        "en-CA",
        "en-AU",
        "en-GB",
    }


@pytest.mark.parametrize("name", ["en-US-Wavenet-A", "female/fr-FR", "robot", "", "/", "slt/en-US"])
def test_a_voice_that_a_provider_does_not_have_is_not_found(tmp_path: Path, name: str) -> None:
    assert Flite(Confinement(tmp_path)).find(name) is None


async def test_flite_has_a_woman_and_a_man(tmp_path: Path) -> None:
    flite = Flite(Confinement(tmp_path))
    woman = _pitch_hertz(await _spoken(flite, "female/en-US"))
    assert woman > 1.4 * _pitch_hertz(await _spoken(flite, "male/en-GB"))


@pytest.mark.parametrize("provider", [Espeak, Flite])
async def test_other_users_of_the_machine_do_not_see_the_text(
    provider: type[Espeak | Flite], tmp_path: Path
) -> None:
    seen: set[str] = set()

    def look() -> None:
        for each in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                seen.add(" ".join([*each.cmdline(), *each.environ().values()]))

    speaking = _spoken(provider(Confinement(tmp_path)), "male/en-US", "confidential " * 30)
    speech = asyncio.ensure_future(speaking)
    while not speech.done():
        look()
        await asyncio.sleep(0.001)
    assert any(provider.title in each for each in seen)
    assert not any("confidential" in each for each in seen)
    assert await asyncio.to_thread(os.listdir, tmp_path) == []


def _script(folder: Path, text: str) -> str:
    path = folder / "speaks"
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("name", ["male/de-DE", "female/en-US/allison"])
async def test_a_command_gets_the_voice_and_the_text(tmp_path: Path, name: str) -> None:
    command = SpeechCommand(_script(tmp_path, 'echo "$# $1"; cat'), Confinement(tmp_path))
    async with aclosing(command.speak("Grüße", _voice(command, name))) as speech:
        told = b"".join([chunk async for chunk in speech])
    assert told.decode() == f"1 {name}\nGrüße"


def _program(title: str, program: Program, folder: Path) -> SpeechProgram:
    return SpeechProgram(title, program, Confinement(folder))


async def _failure(folder: Path, script: str, stall_s: float = 20) -> str:
    limits = replace(ConversionLimits(cpu_s=1, spool_bytes=0), stall_s=stall_s)
    argv = (_script(folder, script),)
    program = _program("speaks", Program(argv, limits, ends_with_pipes=False), folder)
    with pytest.raises(SpeechFailedError) as caught:
        async for _ in program.speak("hello"):
            pass
    assert programs() == []
    return caught.value.kazoo_message


async def test_a_program_that_fails_tells_its_last_words(tmp_path: Path) -> None:
    script = "cat; echo one >&2; echo 'no such voice' >&2; exit 3"
    assert await _failure(tmp_path, script) == "speaks failed: no such voice"
    assert await _failure(tmp_path, "exit 3") == "speaks failed: it ended with exit code 3"


async def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    assert "sent nothing" in await _failure(tmp_path, "sleep 60 & sleep 60", stall_s=0.3)


async def test_a_program_that_computes_forever_is_stopped(tmp_path: Path) -> None:
    assert "exceeded its limits" in await _failure(tmp_path, "while :; do :; done")


async def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    program = _program("speaks", Program(("/nonexistent",), ConversionLimits()), tmp_path)
    with pytest.raises(SpeechFailedError, match="speaks is not available to create TTS media"):
        await anext(program.speak("hello"))


@pytest.mark.parametrize("script", ["exec sleep 600", "sleep 600 & exec sleep 600", "sleep 600"])
def test_a_command_that_ignores_its_input_dies_with_the_service(
    tmp_path: Path, script: str
) -> None:
    program = Path(__file__).parent / "programs" / "speak_until_killed.py"
    command = [sys.executable, str(program), _script(tmp_path, script), str(tmp_path)]
    with subprocess.Popen(command) as service:
        wait_until(
            lambda: _names(groups(service.pid)).count("sleep") == script.count("sleep"), "it runs"
        )
        started = groups(service.pid)
        service.kill()
    wait_until(lambda: not any(map(is_alive, started)), "no process of the command is left")


def _names(processes: list[psutil.Process]) -> list[str]:
    names = []
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            names.append(each.name())
    return names


async def test_a_command_finds_no_child_that_it_has_not_started(tmp_path: Path) -> None:
    script = f"exec {sys.executable} -c 'import os; os.wait()'"
    assert "ChildProcessError" in await _failure(tmp_path, script)


async def test_a_command_that_is_not_needed_any_more_ends_with_its_children(
    tmp_path: Path,
) -> None:
    command = SpeechCommand(_script(tmp_path, "sleep 600 & yes"), Confinement(tmp_path))
    others = set(groups(os.getpid()))  # of earlier tests
    async with aclosing(command.speak("hello", command.voices[0])) as speech:
        await anext(speech)
        started = [each for each in groups(os.getpid()) if each not in others]
        assert {"yes", "sleep"} <= set(_names(started))
    # The signal is sent; the kernel ends the processes in its own time.
    await asyncio.to_thread(wait_until, lambda: not any(map(is_alive, started)), "they ended")


async def test_closing_the_speech_early_leaves_no_process(tmp_path: Path) -> None:
    program = _program("yes", Program(("yes",), ConversionLimits()), tmp_path)
    async with aclosing(program.speak("hello")) as speech:
        await anext(speech)
        assert len(programs()) == 1
    assert programs() == []
