"""Imports a folder of prompts, as Kazoo's `kazoo_media_maintenance import_prompts` does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc

from kazoo_media.cli.prompt_batch import (
    DOCUMENT_FIELDS,
    Outcome,
    Result,
    audio_bytes,
    failure,
    prompt_document,
    run_batch,
    tried,
)
from kazoo_media.client import Client, Media, MediaServiceError, Progress

_SUFFIXES = (".wav", ".mp3")


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
        rejected = dict(_rejected(paths))

        async def work(path: Path) -> Outcome:
            if path in rejected:
                return Outcome(path.name, Result.FAILED, problem=rejected[path])
            return await self._import(path)

        return await run_batch(paths, work, jobs, progress)

    async def _import(self, path: Path) -> Outcome:
        media = prompt_document(self._language, path.stem)
        try:
            if await self._created(media):
                stored = await self._upload_or_remove(path, media)
                return Outcome(path.name, Result.IMPORTED, audio_bytes(stored))
            # Audio first: when it is refused nothing has changed.
            stored = await self._upload(path, media)
            fields = DOCUMENT_FIELDS
            if any(getattr(stored, field) != getattr(media, field) for field in fields):
                await tried(lambda: self._client.update_media(self._account_id, media, fields))
            return Outcome(path.name, Result.OVERWRITTEN, audio_bytes(stored))
        except MediaServiceError as error:
            return failure(path.name, error)
        except OSError as error:
            problem = error.strerror or str(error)
            return Outcome(path.name, Result.FAILED, problem=problem)

    async def _created(self, media: Media) -> bool:
        """Create the document; False: it exists."""
        creating = asyncio.ensure_future(
            tried(lambda: self._client.create_media(self._account_id, media))
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
        return await tried(lambda: self._client.upload(self._account_id, media.id, path))

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
        await tried(lambda: delete(self._account_id, media.id, hard=True))


def _rejected(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield those whose names can be no prompt ids, and why."""
    taken: dict[str, Path] = {}
    for path in paths:
        first = taken.setdefault(path.stem, path)
        if not path.stem.isprintable():
            yield path, "the name is no prompt id: it has control characters or is no UTF-8"
        elif first is not path:
            yield path, f"the prompt id {path.stem!r} is that of {first.name}, too"
