"""Speaks by a program until it is killed: `python speak_until_killed.py PROGRAM FOLDER`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.speech.command import SpeechCommand


async def main(program: str, folder: str) -> None:
    """Speak; the program is expected never to end."""
    command = SpeechCommand(program, Confinement(Path(folder)))
    async for _ in command.speak("hello", command.voices[0]):
        pass


asyncio.run(main(*sys.argv[1:]))
