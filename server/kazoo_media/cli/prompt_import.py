"""Imports a folder of prompts, as Kazoo's `kazoo_media_maintenance import_prompts` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.field_mask_pb2 import FieldMask

from kazoo_media.cli.batch import Outcome, Result, failure, run_batch, tried
from kazoo_media.cli.prompt_document import DOCUMENT_FIELDS, audio_bytes, prompt_document
from kazoo_media.client import Client, MediaServiceError, Progress, UploadContentRequest

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
        header = UploadContentRequest.Header(
            account_id=self._account_id,
            media=prompt_document(self._language, path.stem),
            update_mask=FieldMask(paths=DOCUMENT_FIELDS),
        )
        try:
            stored = await tried(lambda: self._client.put(header, path))
        except MediaServiceError as error:
            return failure(path.name, error)
        except OSError as error:
            problem = error.strerror or str(error)
            return Outcome(path.name, Result.FAILED, problem=problem)
        result = Result.IMPORTED if stored.created else Result.OVERWRITTEN
        return Outcome(path.name, result, audio_bytes(stored.media))


def _rejected(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield those whose names can be no prompt ids, and why."""
    taken: dict[str, Path] = {}
    for path in paths:
        first = taken.setdefault(path.stem, path)
        if not path.stem.isprintable():
            yield path, "the name is no prompt id: it has control characters or is no UTF-8"
        elif first is not path:
            yield path, f"the prompt id {path.stem!r} is that of {first.name}, too"
