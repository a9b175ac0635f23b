"""Many prompts of one language: what becomes of each, while one that fails stops no other."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc

from kazoo_media.cli.session import describe
from kazoo_media.client import Media, MediaServiceError, Progress, RenditionKind

SOURCE_TYPE = "kazoo_media_maintenance"
"""What Kazoo's own import writes there."""

DOCUMENT_FIELDS = ("name", "description", "language", "prompt_id", "source_type", "streamable")
"""The fields that `prompt_document` fills."""

_DESCRIPTION_LIMIT = 128  # characters; a long name alone shall not fail
_PAUSES_S = (0.5, 2.0)  # Kazoo tries three times, too
_Item = TypeVar("_Item")
_T = TypeVar("_T")


class Result(enum.StrEnum):
    """What became of a prompt."""

    IMPORTED = "imported"
    SPOKEN = "spoken"
    OVERWRITTEN = "overwritten"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a prompt.

    Attributes:
        origin: Where it came from: the name of a file, the number of a line.
        size_bytes: How much audio it has now; 0 where nothing was done.
        problem: Why it failed, on one line.
    """

    origin: str | int
    result: Result
    size_bytes: int = 0
    problem: str = ""


async def run_batch(
    items: Sequence[_Item],
    work: Callable[[_Item], Awaitable[Outcome]],
    jobs: int,
    progress: Progress,
) -> list[Outcome]:
    """Work on items, so many at a time, and return what became of each, in their order."""
    outcomes: dict[int, Outcome] = {}
    waiting = iter(enumerate(items))

    async def take() -> None:
        for index, item in waiting:
            outcomes[index] = await work(item)
            progress(len(outcomes), len(items))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(jobs):
            tasks.create_task(take())
    return [outcomes[index] for index in range(len(items))]


def prompt_document(language: str, prompt_id: str) -> Media:
    """Return the document that Kazoo's import makes of a prompt; the language in lower case."""
    media_id = f"{language}/{prompt_id}"
    return Media(
        id=media_id,
        name=media_id,
        description=f"System prompt in {language} for {prompt_id}"[:_DESCRIPTION_LIMIT],
        language=language,
        prompt_id=prompt_id,
        source_type=SOURCE_TYPE,
        streamable=True,
    )


def failure(origin: str | int, error: MediaServiceError) -> Outcome:
    """Return the outcome of what the service refused."""
    problem = "; ".join([describe(error), *getattr(error, "__notes__", ())])
    return Outcome(origin, Result.FAILED, problem=problem)


def audio_bytes(media: Media) -> int:
    """Return how many bytes of audio a media was given."""
    original = RenditionKind.RENDITION_KIND_ORIGINAL
    return sum(each.size_bytes for each in media.renditions if each.kind == original)


async def tried(call: Callable[[], Awaitable[_T]]) -> _T:
    """Return what a call returns; one that finds the service unavailable is made again."""
    for pause_s in _PAUSES_S:
        try:
            return await call()
        except MediaServiceError as error:
            if error.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(pause_s)
    return await call()
