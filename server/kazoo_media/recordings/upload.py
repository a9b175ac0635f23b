"""An upload as callers see it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property

from kazoo_media.metadata.uploads import UploadRow, UploadState
from kazoo_media.model import Media, unix_time_ms
from kazoo_media.recordings.raw_audio import RawAudio
from kazoo_media.recordings.spec import UploadSpec
from kazoo_media.recordings.states import pause_of
from kazoo_media.recordings.time_line import layout

_SILENT_MS = 180_000
"""After this time without a sign of a stream, its process is taken for dead."""


class SeenState(enum.StrEnum):
    """Where an upload is in its life."""

    RECEIVING = "receiving"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    COMMITTING = "committing"
    FINISHED = "finished"
    DISCARDED = "discarded"


@dataclass(frozen=True)
class Upload:
    """An upload; `row` has its stored state."""

    row: UploadRow

    @cached_property
    def spec(self) -> UploadSpec:
        """Return what was asked for."""
        return UploadSpec.from_json(self.row.spec)

    @property
    def state(self) -> SeenState:
        """Return where the upload is in its life."""
        return seen_state(self.row)

    @property
    def pause(self) -> str:
        """Return how audio that arrives now is masked: silence, skip, or "" if it is not."""
        return pause_of(self.row)

    @property
    def duration_ms(self) -> int | None:
        """Return the duration of the recording so far; None for a container."""
        raw = self.spec.raw
        return None if raw is None else duration_ms(self.row, raw)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of an upload that has ended.

    Attributes:
        media: None: it was discarded.
    """

    row: UploadRow
    media: Media | None


def seen_state(row: UploadRow) -> SeenState:
    """Return where an upload is in its life, as callers see it."""
    if row.state is not UploadState.RECEIVING:
        return SeenState(row.state)
    if unix_time_ms() - row.touched_ms > _SILENT_MS:
        return SeenState.INTERRUPTED
    return SeenState.PAUSED if pause_of(row) else SeenState.RECEIVING


def duration_ms(row: UploadRow, raw: RawAudio) -> int:
    """Return the duration of a recording of raw audio as far as it is stored."""
    spans = layout(row.marks, row.persisted_size, raw)
    return raw.duration_ms(sum(each.size_bytes for each in spans))
