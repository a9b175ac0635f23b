"""What answers each operation once its request is checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

from kazoo_media.access.accounts import PlayScope, ReadScope, WriteScope
from kazoo_media.core import Core
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.authentication import LogInAnswers
from kazoo_media.crossbar.bodies import Body
from kazoo_media.crossbar.content import Contents
from kazoo_media.crossbar.documents import Documents
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.links import LinkAnswers
from kazoo_media.crossbar.lists import Lists
from kazoo_media.crossbar.operations import Operation
from kazoo_media.crossbar.peaks import Peaks
from kazoo_media.crossbar.prompt_resolution import ResolutionAnswers
from kazoo_media.crossbar.recorder_target import RecorderTarget
from kazoo_media.crossbar.recordings import RecordingDocuments
from kazoo_media.crossbar.requests import Request
from kazoo_media.crossbar.tus import TusUploads
from kazoo_media.crossbar.versions import VersionAnswers

_LogIn: TypeAlias = Callable[[Request], Awaitable[Answer]]
_Play: TypeAlias = Callable[[PlayScope, Request], Awaitable[Answer]]
_Read: TypeAlias = Callable[[ReadScope, Request], Awaitable[Answer]]
_Write: TypeAlias = Callable[[WriteScope, Request], Awaitable[Answer]]
_Upload: TypeAlias = Callable[[WriteScope, Request, Body], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Actions:
    """Tables of functions by operation, according to what they need.

    Attributes:
        plays: Reads that a playback key is enough for.
        uploads: Writes that read the body themselves.
    """

    log_ins: Mapping[Operation, _LogIn]
    plays: Mapping[Operation, _Play]
    reads: Mapping[Operation, _Read]
    writes: Mapping[Operation, _Write]
    uploads: Mapping[Operation, _Upload]

    @classmethod
    def of(cls, core: Core, contents: Contents, links: LinkAnswers, envelopes: Envelopes) -> Self:
        """Return the functions of a core."""
        versions = VersionAnswers(core, envelopes)
        tus = TusUploads(core)
        target = RecorderTarget(core, contents, envelopes)
        resolution = ResolutionAnswers(core, contents, envelopes)
        documents = Documents(core.library, core.measuring, envelopes)
        recordings = RecordingDocuments(core, envelopes)
        lists = Lists(core, envelopes)
        log_ins = LogInAnswers(core, envelopes)
        return cls(
            log_ins={
                Operation.LOG_IN: log_ins.with_key,
                Operation.LOG_IN_USER: log_ins.as_user,
            },
            plays={
                Operation.DOWNLOAD: contents.download,
                Operation.DOWNLOAD_RESOLVED: resolution.download,
            },
            reads={
                Operation.LIST_MEDIA: lists.media,
                Operation.GET_MEDIA: documents.get,
                Operation.LIST_VERSIONS: versions.list,
                Operation.CREATE_LINK: links.create,
                Operation.GET_PEAKS: Peaks(core, envelopes).get,
                Operation.LIST_PROMPTS: lists.prompts,
                Operation.LIST_TRANSLATIONS: lists.translations,
                Operation.RESOLVE_PROMPT: resolution.describe,
                Operation.LIST_LANGUAGES: lists.languages,
                Operation.LIST_MEDIA_OF_LANGUAGE: lists.media_of_language,
                Operation.LIST_VOICES: lists.voices,
                Operation.LIST_RECORDINGS: lists.recordings,
                Operation.LIST_USER_RECORDINGS: lists.recordings,
                Operation.GET_RECORDING: recordings.get,
                Operation.DOWNLOAD_FILE: target.get,
            },
            writes={
                Operation.CREATE_MEDIA: documents.create,
                Operation.UPDATE_MEDIA: documents.update,
                Operation.PATCH_MEDIA: documents.patch,
                Operation.DELETE_MEDIA: documents.delete,
                Operation.RESTORE_MEDIA: versions.restore,
                Operation.DELETE_RECORDING: recordings.delete,
                Operation.GET_UPLOAD_OFFSET: tus.status,
                Operation.TERMINATE_UPLOAD: tus.terminate,
            },
            uploads={
                Operation.UPLOAD: contents.upload,
                Operation.PUT_FILE: target.put,
                Operation.CREATE_UPLOAD: tus.create,
                Operation.APPEND_TO_UPLOAD: tus.append,
            },
        )
