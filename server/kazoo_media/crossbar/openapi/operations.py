"""Parameters, bodies and answers of the operations in the OpenAPI description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kazoo_media.crossbar.operations import Operation


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about an operation that its path does not tell.

    Attributes:
        parameters: Names in PARAMETERS.
        successes: HTTP statuses, each with the name of an envelope, `audio`, or "" for no body.
        refusals: HTTP statuses of errors that not all operations have.
        body: Name of a request body; "": no body.
        needs_token: Whether the caller must send a token.
    """

    parameters: Sequence[str]
    successes: Sequence[tuple[int, str]]
    refusals: Sequence[int] = ()
    body: str = ""
    needs_token: bool = True

    @property
    def all_refusals(self) -> list[int]:
        """Return the HTTP statuses of all errors."""
        return sorted({*_ALWAYS, *self.refusals, *(_TOKEN if self.needs_token else ())})


_ALWAYS = (400, 405, 408, 413, 429, 431, 500, 503, 504)
_TOKEN = (401, 403, 404, 406)
_WRITE = (412, 507)
_RESUMED = (409, 410, 412, 507)
_DOCUMENT = ((200, "DocumentEnvelope"),)

_FILTERS = (
    *("filters", "has_key", "key_missing", "has_value", "value_missing"),
    *("created_from", "created_to", "modified_from", "modified_to", "descending"),
    "deleted",
)
_LIST = ("paginate", "page_size", "start_key")
_RECORDINGS = (*_FILTERS[: _FILTERS.index("descending")], *_LIST)
_UNCHANGED = ("if_match", "if_unmodified_since")
_CHANGED = ("if_none_match", "if_modified_since")
_SENT = ("inline", "filename", "auth_token", *_CHANGED, "if_range", "range")
_PLAYED = (*_SENT, "key")
_AUDIO = ((200, "audio"), (206, "audio"), (302, ""), (304, ""))

FACTS: Mapping[Operation, Facts] = {
    Operation.LIST_MEDIA: Facts((*_FILTERS, *_LIST), [(200, "MediaListEnvelope")]),
    Operation.CREATE_MEDIA: Facts((), [(201, "DocumentEnvelope")], (409, 412, 415, 507), "create"),
    Operation.GET_MEDIA: Facts(_CHANGED, [*_DOCUMENT, (304, "")]),
    Operation.UPDATE_MEDIA: Facts(_UNCHANGED, _DOCUMENT, (409, 415, *_WRITE), "update"),
    Operation.PATCH_MEDIA: Facts(_UNCHANGED, _DOCUMENT, (409, 415, *_WRITE), "patch"),
    Operation.DELETE_MEDIA: Facts(("hard_delete", *_UNCHANGED), _DOCUMENT, _WRITE),
    Operation.DOWNLOAD: Facts(
        ("accept", "rendition", "version", *_PLAYED, *_UNCHANGED), _AUDIO, (412, 416)
    ),
    Operation.UPLOAD: Facts(
        ("filename", "preset", *_UNCHANGED, "transfer_encoding"),
        _DOCUMENT,
        (409, 415, *_WRITE),
        "upload",
    ),
    Operation.LIST_VERSIONS: Facts((), [(200, "VersionsEnvelope")]),
    Operation.RESTORE_MEDIA: Facts((), _DOCUMENT, (409, 415, *_WRITE), "restore"),
    Operation.CREATE_LINK: Facts((), [(200, "LinkEnvelope")], (415,), "link"),
    Operation.GET_PEAKS: Facts(
        ("buckets", "rendition", "if_none_match"), [(200, "Peaks"), (304, "")]
    ),
    Operation.LIST_PROMPTS: Facts(_LIST, [(200, "CountsEnvelope")]),
    Operation.LIST_TRANSLATIONS: Facts(_LIST, [(200, "IdsEnvelope")]),
    Operation.RESOLVE_PROMPT: Facts(("language", "format"), [(200, "ResolutionEnvelope")]),
    Operation.DOWNLOAD_RESOLVED: Facts(("language", "redirect", *_PLAYED), _AUDIO, (416,)),
    Operation.LIST_LANGUAGES: Facts(_LIST, [(200, "CountsEnvelope")]),
    Operation.LIST_MEDIA_OF_LANGUAGE: Facts(_LIST, [(200, "IdsEnvelope")]),
    Operation.LIST_VOICES: Facts((), [(200, "VoicesEnvelope")]),
    Operation.LIST_RECORDINGS: Facts(_RECORDINGS, [(200, "RecordingsEnvelope")]),
    Operation.LIST_USER_RECORDINGS: Facts(_RECORDINGS, [(200, "RecordingsEnvelope")]),
    Operation.GET_RECORDING: Facts(_CHANGED, [(200, "RecordingEnvelope"), (304, "")]),
    Operation.DELETE_RECORDING: Facts(
        ("hard_delete", *_UNCHANGED), [(200, "RecordingEnvelope")], _WRITE
    ),
    Operation.PUT_FILE: Facts(
        ("recording_fields", "transfer_encoding"),
        [(200, "RecordingEnvelope"), (201, "RecordingEnvelope")],
        (409, 415, *_WRITE),
        "upload",
    ),
    Operation.DOWNLOAD_FILE: Facts(
        ("accept", "rendition", *_SENT, *_UNCHANGED), _AUDIO, (412, 416)
    ),
    Operation.CREATE_UPLOAD: Facts(
        ("tus_resumable", "upload_length", "upload_defer_length", "upload_metadata"),
        [(201, "")],
        (409, 412, 415, 507),
    ),
    Operation.GET_UPLOAD_OFFSET: Facts(("tus_resumable",), [(200, "")], _RESUMED),
    Operation.APPEND_TO_UPLOAD: Facts(
        ("tus_resumable", "upload_offset", "upload_length"), [(204, "")], (415, *_RESUMED)
    ),
    Operation.TERMINATE_UPLOAD: Facts(("tus_resumable",), [(204, "")], _RESUMED),
    Operation.LOG_IN: Facts((), [(201, "LoginEnvelope")], (401, 406), "log_in", needs_token=False),
    Operation.LOG_IN_USER: Facts(
        (), [(201, "LoginEnvelope")], (401, 406), "log_in_user", needs_token=False
    ),
    Operation.DESCRIBE_API: Facts((), [(200, "description")], needs_token=False),
}
