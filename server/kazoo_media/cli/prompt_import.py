"""Import of a folder of prompts, as Kazoo's `kazoo_media_maintenance import_prompts` does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.field_mask_pb2 import FieldMask

from kazoo_media.cli.batch import Outcome, Result, failure, run_batch, with_retries
from kazoo_media.cli.prompt_document import DOCUMENT_FIELDS, audio_bytes, prompt_document
from kazoo_media.client import Client, MediaServiceError, Progress, UploadContentRequest

_SUFFIXES = (".wav", ".mp3")


def prompt_files(folder: Path) -> list[Path]:
    """Return the *.wav and *.mp3 files of a folder, without its subfolders, sorted by name.

    Hidden files are not among them: archives from macOS have a `._NAME.wav` for each `NAME.wav`.

    Blocking.

    Raises:
        OSError: the folder cannot be read.
    """
    return [path for path in _audio_files(folder) if not _is_hidden(path)]


def hidden_files(folder: Path) -> list[Outcome]:
    """Return the outcomes of the hidden *.wav and *.mp3 files of a folder, which are skipped.

    Blocking.

    Raises:
        OSError: the folder cannot be read.
    """
    hidden = filter(_is_hidden, _audio_files(folder))
    return [Outcome(path.name, Result.SKIPPED, problem="a hidden file") for path in hidden]


def _audio_files(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    return sorted(path for path in found if path.is_file())


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


class PromptImport:
    """An import into one account and one language."""

    def __init__(self, client: Client, account_id: str, language: str) -> None:
        self._client = client
        self._account_id = account_id
        self._language = language.lower()

    async def run(self, paths: Sequence[Path], jobs: int, progress: Progress) -> list[Outcome]:
        """Import files, `jobs` at a time, and return their outcomes.

        A file that fails does not stop the others.
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
            stored = await with_retries(lambda: self._client.put(header, path))
        except MediaServiceError as error:
            return failure(path.name, error)
        except OSError as error:
            problem = error.strerror or str(error)
            return Outcome(path.name, Result.FAILED, problem=problem)
        result = Result.IMPORTED if stored.created else Result.OVERWRITTEN
        return Outcome(path.name, result, audio_bytes(stored.media))


def _rejected(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield the paths whose names are not usable as prompt ids, each with the reason."""
    taken: dict[str, Path] = {}
    for path in paths:
        first = taken.setdefault(path.stem, path)
        if not path.stem.isprintable():
            yield path, "the name has control characters or is not UTF-8: rename the file"
        elif first is not path:
            yield (
                path,
                f"{first.name} has the same prompt id {path.stem!r}: remove one of the files",
            )
