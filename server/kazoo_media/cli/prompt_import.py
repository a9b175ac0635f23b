"""Imports a folder of prompts, as Kazoo's `kazoo_media_maintenance import_prompts` does."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from kazoo_media.cli.session import describe
from kazoo_media.client import Client, Media, MediaServiceError, Progress, RenditionKind

SOURCE_TYPE = "kazoo_media_maintenance"
"""What Kazoo writes there."""

_SUFFIXES = (".wav", ".mp3")
_FIELDS = ("name", "description", "language", "prompt_id", "source_type", "streamable")
_DESCRIPTION_LIMIT = 128  # characters; a long name alone shall not fail
_PAUSES_S = (0.5, 2.0)  # Kazoo tries three times, too
_T = TypeVar("_T")


class Result(enum.StrEnum):
    """What became of a file."""

    IMPORTED = "imported"
    OVERWRITTEN = "overwritten"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file.

    Attributes:
        size_bytes: How much was sent; 0 after a failure.
        problem: Why it failed, on one line.
    """

    path: Path
    result: Result
    size_bytes: int = 0
    problem: str = ""


def prompt_files(folder: Path) -> list[Path]:
    """Return the files directly in a folder that are prompts by their suffix, by name.

    Blocking.

    Raises:
        OSError: the folder can not be read.
    """
    found = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    return sorted(path for path in found if path.is_file())


class PromptImport:
    """One import into one account and language."""

    def __init__(self, client: Client, account_id: str, language: str) -> None:
        """Keep them; the language in lower case."""
        self._client = client
        self._account_id = account_id
        self._language = language.lower()

    async def run(self, paths: Sequence[Path], jobs: int, progress: Progress) -> list[Outcome]:
        """Import files, so many at a time, and return what became of each; one that fails does not
        stop the others.
        """
        outcomes = [*_rejected(paths)]
        rejected = {each.path for each in outcomes}
        waiting = iter([path for path in paths if path not in rejected])

        async def work() -> None:
            for path in waiting:
                outcomes.append(await self._import(path))
                progress(len(outcomes), len(paths))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(jobs):
                tasks.create_task(work())
        return sorted(outcomes, key=lambda each: each.path)

    async def _import(self, path: Path) -> Outcome:
        media_id = f"{self._language}/{path.stem}"
        description = f"System prompt in {self._language} for {path.stem}"
        media = Media(
            id=media_id,
            name=media_id,
            description=description[:_DESCRIPTION_LIMIT],
            language=self._language,
            prompt_id=path.stem,
            source_type=SOURCE_TYPE,
            streamable=True,
        )
        try:
            if await self._created(media):
                stored = await self._upload_or_remove(path, media)
                return Outcome(path, Result.IMPORTED, _size_of(stored))
            # Audio first: when it is refused nothing has changed.
            stored = await self._upload(path, media)
            if any(getattr(stored, field) != getattr(media, field) for field in _FIELDS):
                await _tried(lambda: self._client.update_media(self._account_id, media, _FIELDS))
            return Outcome(path, Result.OVERWRITTEN, _size_of(stored))
        except MediaServiceError as error:
            problem = "; ".join([describe(error), *getattr(error, "__notes__", ())])
            return Outcome(path, Result.FAILED, problem=problem)
        except OSError as error:
            return Outcome(path, Result.FAILED, problem=error.strerror or str(error))

    async def _created(self, media: Media) -> bool:
        """Create the document; False: it exists."""
        creating = asyncio.ensure_future(
            _tried(lambda: self._client.create_media(self._account_id, media))
        )
        try:
            await asyncio.shield(creating)
        except asyncio.CancelledError:
            await asyncio.wait([creating])  # the service would create it all the same
            if creating.exception() is None:
                await self._remove(media)
            raise
        except MediaServiceError as error:
            if error.code is not grpc.StatusCode.ALREADY_EXISTS:
                raise
            return False
        return True

    async def _upload(self, path: Path, media: Media) -> Media:
        return await _tried(lambda: self._client.upload(self._account_id, media.id, path))

    async def _upload_or_remove(self, path: Path, media: Media) -> Media:
        try:
            return await self._upload(path, media)
        except BaseException as error:  # Ctrl-C too: nobody wants prompts that are silent
            try:
                await self._remove(media)
            except MediaServiceError:
                error.add_note(f"{media.id} is left without audio")
            raise

    async def _remove(self, media: Media) -> None:
        delete = self._client.delete_media
        await _tried(lambda: delete(self._account_id, media.id, hard=True))


def _rejected(paths: Sequence[Path]) -> Iterator[Outcome]:
    """Yield those whose names can be no prompt ids."""
    taken: dict[str, Path] = {}
    for path in paths:
        first = taken.setdefault(path.stem, path)
        if not path.stem.isprintable():
            problem = "the name is no prompt id: it has control characters or is no UTF-8"
        elif first is not path:
            problem = f"the prompt id {path.stem!r} is that of {first.name}, too"
        else:
            continue
        yield Outcome(path, Result.FAILED, problem=problem)


def _size_of(media: Media) -> int:
    """Return how many bytes were uploaded."""
    original = RenditionKind.RENDITION_KIND_ORIGINAL
    return sum(each.size_bytes for each in media.renditions if each.kind == original)


async def _tried(call: Callable[[], Awaitable[_T]]) -> _T:
    """Return what a call returns; one that finds the service unavailable is made again."""
    for pause_s in _PAUSES_S:
        try:
            return await call()
        except MediaServiceError as error:
            if error.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(pause_s)
    return await call()
