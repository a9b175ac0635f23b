"""Text-to-speech for the prompts of a language, from a text file with one line per prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from kazoo_media.cli.batch import Outcome, Result, failure, run_batch, with_retries
from kazoo_media.cli.prompt_document import DOCUMENT_FIELDS, audio_bytes, prompt_document
from kazoo_media.client import Client, Media, MediaServiceError, MediaSource, Progress, Tts

_FIELDS = (*DOCUMENT_FIELDS, "media_source", "tts")


@dataclass(frozen=True, slots=True)
class PromptLine:
    """A line of the file that is neither empty nor a comment.

    Attributes:
        number: Counted from 1.
        problem: What is wrong with the line; "" if it can be spoken.
    """

    number: int
    prompt_id: str = ""
    text: str = ""
    problem: str = ""


def prompt_lines(file: Path) -> list[PromptLine]:
    """Return the lines of a file, invalid ones included, without empty lines and comments.

    Blocking.

    Raises:
        OSError: the file cannot be read.
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
                problem = f"line {first} has the same prompt id {line.prompt_id!r}"
                line = PromptLine(number, problem=problem)
            found.append(line)
    return found


class PromptSpeech:
    """Prompts of one account and one language, spoken by one voice."""

    def __init__(
        self, client: Client, account_id: str, language: str, voice: str, *, overwrite: bool
    ) -> None:
        """Speak with these parameters.

        Args:
            overwrite: Speak existing prompts again; otherwise they are skipped.
        """
        self._client = client
        self._account_id = account_id
        self._language = language.lower()
        self._voice = voice
        self._overwrite = overwrite

    async def run(
        self, lines: Sequence[PromptLine], jobs: int, progress: Progress
    ) -> list[Outcome]:
        """Speak lines, `jobs` at a time, and return their outcomes.

        A line that fails does not stop the others.
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
            stored = await with_retries(lambda: self._client.create_media(account_id, media))
        except MediaServiceError as error:
            if error.code is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        else:
            return Outcome(line.number, Result.SPOKEN, audio_bytes(stored))
        if not self._overwrite:
            return Outcome(line.number, Result.SKIPPED)
        stored = await with_retries(lambda: self._client.update_media(account_id, media, _FIELDS))
        return Outcome(line.number, Result.OVERWRITTEN, audio_bytes(stored))


def _read(number: int, data: bytes) -> PromptLine | None:
    """Return the parsed line, or None for an empty line or comment."""
    try:
        line = data.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError:
        return PromptLine(number, problem="the line is not UTF-8")
    if not line or line.startswith("#"):
        return None
    prompt_id, colon, text = (part.strip() for part in line.partition(":"))
    if not colon:
        problem = "no colon in the line: write `id: text`"
    elif not prompt_id or not prompt_id.isprintable():
        problem = "no valid prompt id before the colon: write `id: text`"
    elif not text:
        problem = f"no text for {prompt_id!r} after the colon: write `id: text`"
    else:
        return PromptLine(number, prompt_id, text)
    return PromptLine(number, problem=problem)
