"""The import of a set of prompts, against `xargs -P2 sox`, which has no rows and no fsync."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path
from urllib.parse import quote

from google.protobuf.struct_pb2 import Value

from tests.bench.http_load import MeasurementError, ask
from tests.bench.presets import COMMAND
from tests.bench.services import Services
from tests.bench.table import Better, Contest, Line, Sample

_XARGS = "xargs -P2 sox"
_PRESET = "telephony"
_LANGUAGES = (
    *("en-us", "en-gb", "en-au", "en-ca", "en-nz", "en-ie", "en-za", "en-in", "fr-fr", "fr-ca"),
    *("de-de", "de-at", "de-ch", "es-es", "es-mx", "it-it", "nl-nl", "nl-be", "pl-pl", "pt-pt"),
)
"""Each round imports another language, as existing prompts might cost less."""


class PromptImport:
    """The contest; both sides are timed as whole processes."""

    def __init__(self, services: Services, prompts: Path, folder: Path) -> None:
        """Keep the sides, the folder of the WAV files, and a folder for sox's output."""
        self._services = services
        self._prompts = prompts
        self._folder = folder
        self._languages = cycle(_LANGUAGES)
        self._rounds = 0

    def contest(self) -> Contest:
        """Return the contest."""
        files = len(self._wav_files())
        title = f"import of {files} prompts: {_XARGS}"
        sides = {
            "ours": lambda: self._ours(COMMAND),
            _PRESET: lambda: self._ours(_PRESET),
            _XARGS: self._xargs,
        }
        lines = [
            Line(title, "s", "s", Better.LESS, 0.6, peer=_XARGS),
            Line(f"{title}, ours {_PRESET}", "s", "s", Better.LESS, 0.8, _PRESET, _XARGS),
        ]
        return Contest("import", sides, lines)

    def _ours(self, preset: str) -> Sample:
        ours = self._services.normalizing
        ours.set_default("media", "normalize_preset", Value(string_value=preset))
        language = next(self._languages)
        command = [sys.executable, "-m", "kazoo_media", "prompts", "import"]
        command += [str(self._prompts), language]
        environment = os.environ | {"KAZOO_MEDIA_DATA_DIR": str(ours.data_dir)}
        # An installed command has bytecode; the warm-up compiles that of a fresh checkout.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        sample = _timed(command, environment)
        last = self._wav_files()[-1].stem
        document = ask(ours.endpoint, "GET", f"/v2/media/{language}%2F{quote(last)}")["data"]
        if document.get("normalization_preset") != preset:
            raise MeasurementError(f"the import did not normalize: {document}")
        return sample

    def _xargs(self) -> Sample:
        self._rounds += 1
        folder = self._folder / f"converted-{self._rounds}"
        folder.mkdir()
        command = ["xargs", "-0", "-P2", "-I{}", "sox", "-t", "wav", f"{self._prompts}/{{}}.wav"]
        command += ["-r", "8000", "-t", "mp3", f"{folder}/{{}}.mp3"]
        names = [path.stem for path in self._wav_files()]
        sample = _timed(command, os.environ, "\0".join(names))
        if len(list(folder.iterdir())) != len(names):
            raise MeasurementError("xargs -P2 sox did not convert every prompt")
        return sample

    def _wav_files(self) -> list[Path]:
        return sorted(self._prompts.glob("*.wav"))


def _timed(
    command: list[str], environment: os._Environ[str] | dict[str, str], text: str = ""
) -> Sample:
    os.sync()
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment, input=text, capture_output=True, text=True, check=False
    )
    ended = time.perf_counter()
    if done.returncode:
        raise MeasurementError(f"{' '.join(command[:5])}: {done.stdout[-300:]}{done.stderr[-500:]}")
    return {"s": ended - started}
