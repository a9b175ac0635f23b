"""Speaks a whole language from a text file with a line for each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from kazoo_media.cli.batch import Outcome, Result, failure, run_batch, tried
from kazoo_media.cli.prompt_document import DOCUMENT_FIELDS, audio_bytes, prompt_document
from kazoo_media.client import Client, Media, MediaServiceError, MediaSource, Progress, Tts

_FIELDS = (*DOCUMENT_FIELDS, "media_source", "tts")


@dataclass(frozen=True, slots=True)
class PromptLine:
    """One line of the file that says something.

    Attributes:
        number: Counted from 1.
        problem: Why it can not be spoken, "" if it can.
    """

    number: int
    prompt_id: str = ""
    text: str = ""
    problem: str = ""


def prompt_lines(file: Path) -> list[PromptLine]:
    """Return the lines `id: text` of a file, bad ones too; not the empty ones and those that start
    with `#`.

    Blocking.

    Raises:
        OSError: the file can not be read.
    """
    found: list[PromptLine] = []
    taken: dict[str, int] = {}
    with file.open("rb") as lines:
        for number, data in enumerate(lines, 1):
            line = _read(number, data)
            if line is None:
                continue
            first = taken.setdefault(line.prompt_id, number)
            if not line.problem and first != number:
                problem = f"the prompt id {line.prompt_id!r} is that of line {first}, too"
                line = PromptLine(number, problem=problem)
            found.append(line)
    return found


class PromptSpeech:
    """Prompts of one account and language, spoken by one voice."""

    def __init__(
        self, client: Client, account_id: str, language: str, voice: str, *, overwrite: bool
    ) -> None:
        """Keep them; the language in lower case.

        Args:
            overwrite: Whether prompts that exist are spoken anew, else they stay as they are.
        """
        self._client = client
        self._account_id = account_id
        self._language = language.lower()
        self._voice = voice
        self._overwrite = overwrite

    async def run(
        self, lines: Sequence[PromptLine], jobs: int, progress: Progress
    ) -> list[Outcome]:
        """Speak lines, so many at a time, and return what became of each; one that fails does not
        stop the others.
        """
        return await run_batch(lines, self._speak, jobs, progress)

    async def _speak(self, line: PromptLine) -> Outcome:
        if line.problem:
            return Outcome(line.number, Result.FAILED, problem=line.problem)
        media = prompt_document(self._language, line.prompt_id)
        media.media_source = MediaSource.MEDIA_SOURCE_TTS
        media.tts.CopyFrom(Tts(text=line.text, voice=self._voice))
        try:
            return await self._spoken(line, media)
        except MediaServiceError as error:
            return failure(line.number, error)

    async def _spoken(self, line: PromptLine, media: Media) -> Outcome:
        account_id = self._account_id
        try:
            made = await tried(lambda: self._client.create_media(account_id, media))
        except MediaServiceError as error:
            if error.code is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        else:
            return Outcome(line.number, Result.SPOKEN, audio_bytes(made))
        if not self._overwrite:
            return Outcome(line.number, Result.SKIPPED)
        made = await tried(lambda: self._client.update_media(account_id, media, _FIELDS))
        return Outcome(line.number, Result.OVERWRITTEN, audio_bytes(made))


def _read(number: int, data: bytes) -> PromptLine | None:
    """Return what a line says, None for nothing."""
    try:
        line = data.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError:
        return PromptLine(number, problem="it is no UTF-8")
    if not line or line.startswith("#"):
        return None
    prompt_id, colon, text = (part.strip() for part in line.partition(":"))
    if not colon:
        problem = "there is no colon: write `id: text`"
    elif not prompt_id or not prompt_id.isprintable():
        problem = "there is no prompt id before the colon: write `id: text`"
    elif not text:
        problem = f"there is no text for {prompt_id!r} after the colon"
    else:
        return PromptLine(number, prompt_id, text)
    return PromptLine(number, problem=problem)
