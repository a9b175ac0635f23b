"""The table of resources and verbs, which drives dispatch, verb tunnelling, `Allow` and CORS."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from kazoo_media.errors import MethodNotAllowedError


class Operation(enum.Enum):
    """An operation of the REST surface.

    Attributes:
        writes: Whether it requires the permission to change the account's media.
        lists: Whether its answer is a list.
    """

    LIST_MEDIA = ("list media", False, True)
    CREATE_MEDIA = ("create media", True)
    GET_MEDIA = ("get media", False)
    UPDATE_MEDIA = ("update media", True)
    PATCH_MEDIA = ("patch media", True)
    DELETE_MEDIA = ("delete media", True)
    DOWNLOAD = ("download", False)
    UPLOAD = ("upload", True)
    LIST_VERSIONS = ("list versions", False)
    RESTORE_MEDIA = ("restore media", True)
    CREATE_LINK = ("create a link", False)
    FOLLOW_LINK = ("follow a link", False)
    GET_PEAKS = ("get peaks", False)
    LIST_PROMPTS = ("list prompts", False, True)
    LIST_TRANSLATIONS = ("list translations", False, True)
    RESOLVE_PROMPT = ("resolve a prompt", False)
    DOWNLOAD_RESOLVED = ("download a resolved prompt", False)
    LIST_LANGUAGES = ("list languages", False, True)
    LIST_MEDIA_OF_LANGUAGE = ("list media of language", False, True)
    LIST_VOICES = ("list voices", False, True)
    LIST_RECORDINGS = ("list recordings", False, True)
    LIST_USER_RECORDINGS = ("list recordings of a user", False, True)
    GET_RECORDING = ("get recording", False)
    DELETE_RECORDING = ("delete recording", True)
    PUT_FILE = ("put the file of a recording", True)
    DOWNLOAD_FILE = ("download the file of a recording", False)
    CREATE_UPLOAD = ("create upload", True)
    GET_UPLOAD_OFFSET = ("get offset of upload", True)
    APPEND_TO_UPLOAD = ("append to upload", True)
    TERMINATE_UPLOAD = ("terminate upload", True)
    LOG_IN = ("log in", False)
    LOG_IN_USER = ("log in as a user", False)
    DESCRIBE_API = ("describe the API", False)

    def __init__(self, title: str, writes: bool, lists: bool = False) -> None:  # noqa: FBT001, FBT002 - a row of a table
        self.title = title
        self.writes = writes
        self.lists = lists


class Resource(enum.Enum):
    """A resource that a path can name."""

    MEDIA = enum.auto()
    MEDIA_ITEM = enum.auto()
    CONTENT = enum.auto()
    NAMED_CONTENT = enum.auto()
    VERSIONS = enum.auto()
    RESTORATION = enum.auto()
    LINK = enum.auto()
    LINKED_CONTENT = enum.auto()
    PEAKS = enum.auto()
    PROMPTS = enum.auto()
    PROMPT = enum.auto()
    RESOLUTION = enum.auto()
    RESOLVED_CONTENT = enum.auto()
    LANGUAGES = enum.auto()
    LANGUAGE = enum.auto()
    VOICES = enum.auto()
    RECORDINGS = enum.auto()
    USER_RECORDINGS = enum.auto()
    RECORDING = enum.auto()
    RECORDING_FILE = enum.auto()
    UPLOADS = enum.auto()
    UPLOAD = enum.auto()
    LOG_IN = enum.auto()
    USER_LOG_IN = enum.auto()
    API = enum.auto()

    @property
    def allowed(self) -> list[str]:
        """Return the HTTP verbs of the resource, for `Allow` and CORS."""
        verbs = ["OPTIONS", *OPERATIONS[self]]
        if "GET" in verbs:
            verbs.insert(2, "HEAD")
        return verbs

    @property
    def may_tunnel(self) -> bool:
        """Return whether the resource supports a POST, by itself or with `verb=`."""
        return any(verb != "GET" for verb in OPERATIONS[self])

    def operation(self, verb: str) -> Operation:
        """Return the operation of a verb, which is in upper case.

        Raises:
            MethodNotAllowedError: the resource does not support the verb.
        """
        verbs = OPERATIONS[self]
        found = verbs.get(verb) or (verbs.get("GET") if verb == "HEAD" else None)
        if found is None:
            raise MethodNotAllowedError(self.allowed)
        return found

    def tunnelled(self, verb: str) -> str:
        """Return the verb that a POST with `verb=` stands for; "" stands for POST.

        Raises:
            MethodNotAllowedError: the verb is GET, HEAD or OPTIONS.
        """
        verb = verb.upper() or "POST"
        if verb in {"GET", "HEAD", "OPTIONS"}:
            raise MethodNotAllowedError(self.allowed)
        return verb


RESUMABLE = (Resource.UPLOADS, Resource.UPLOAD)
"""The resources of the tus protocol, which has headers of its own."""

OPERATIONS: Mapping[Resource, Mapping[str, Operation]] = {
    Resource.MEDIA: {"GET": Operation.LIST_MEDIA, "PUT": Operation.CREATE_MEDIA},
    Resource.MEDIA_ITEM: {
        "GET": Operation.GET_MEDIA,
        "POST": Operation.UPDATE_MEDIA,
        "PATCH": Operation.PATCH_MEDIA,
        "DELETE": Operation.DELETE_MEDIA,
    },
    Resource.CONTENT: {"GET": Operation.DOWNLOAD, "POST": Operation.UPLOAD},
    Resource.NAMED_CONTENT: {"GET": Operation.DOWNLOAD},
    Resource.VERSIONS: {"GET": Operation.LIST_VERSIONS},
    Resource.RESTORATION: {"POST": Operation.RESTORE_MEDIA},
    Resource.LINK: {"POST": Operation.CREATE_LINK},
    Resource.LINKED_CONTENT: {"GET": Operation.FOLLOW_LINK},
    Resource.PEAKS: {"GET": Operation.GET_PEAKS},
    Resource.PROMPTS: {"GET": Operation.LIST_PROMPTS},
    Resource.PROMPT: {"GET": Operation.LIST_TRANSLATIONS},
    Resource.RESOLUTION: {"GET": Operation.RESOLVE_PROMPT},
    Resource.RESOLVED_CONTENT: {"GET": Operation.DOWNLOAD_RESOLVED},
    Resource.LANGUAGES: {"GET": Operation.LIST_LANGUAGES},
    Resource.LANGUAGE: {"GET": Operation.LIST_MEDIA_OF_LANGUAGE},
    Resource.VOICES: {"GET": Operation.LIST_VOICES},
    Resource.RECORDINGS: {"GET": Operation.LIST_RECORDINGS},
    Resource.USER_RECORDINGS: {"GET": Operation.LIST_USER_RECORDINGS},
    Resource.RECORDING: {"GET": Operation.GET_RECORDING, "DELETE": Operation.DELETE_RECORDING},
    Resource.RECORDING_FILE: {
        "GET": Operation.DOWNLOAD_FILE,
        "PUT": Operation.PUT_FILE,
        "POST": Operation.PUT_FILE,
    },
    Resource.UPLOADS: {"POST": Operation.CREATE_UPLOAD},
    Resource.UPLOAD: {
        "HEAD": Operation.GET_UPLOAD_OFFSET,
        "PATCH": Operation.APPEND_TO_UPLOAD,
        "DELETE": Operation.TERMINATE_UPLOAD,
    },
    Resource.LOG_IN: {"PUT": Operation.LOG_IN},
    Resource.USER_LOG_IN: {"PUT": Operation.LOG_IN_USER},
    Resource.API: {"GET": Operation.DESCRIBE_API},
}

_RESERVED = {
    "prompts": (Resource.PROMPTS, Resource.PROMPT),
    "languages": (Resource.LANGUAGES, Resource.LANGUAGE),
}
_FILE_NAME = re.compile(r".+\.([A-Za-z0-9]+)", re.DOTALL)
_OF_AUDIO = {
    "link": Resource.LINK,
    "peaks": Resource.PEAKS,
    "restore": Resource.RESTORATION,
    "versions": Resource.VERSIONS,
}
_ALONE = {
    "api_auth": Resource.LOG_IN,
    "user_auth": Resource.USER_LOG_IN,
    "openapi.json": Resource.API,
}


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a path, as the transcoder decoded them.

    Attributes:
        resource: None if no resource has this path.
        account_id: "": the system scope.
        name: Media id, prompt id, language, recording id, user id, file name or upload id.
        extension: The extension in `/raw.mp3`, `/raw/name.mp3` or a link, without the dot.
    """

    resource: Resource | None
    account_id: str = ""
    name: str = ""
    extension: str = ""

    @classmethod
    def of(cls, account_id: str, *parts: str) -> Target:
        """Return the target of the path parts that follow `media`."""
        if not parts:
            return cls(Resource.MEDIA, account_id)
        if parts[0] == "tts":  # reserved, like the names of the collections
            return cls(Resource.VOICES if parts[1:] == ("voices",) else None, account_id)
        collection, item = _RESERVED.get(parts[0], (Resource.MEDIA_ITEM, Resource.CONTENT))
        if len(parts) == 1:
            return cls(collection, account_id, parts[0])
        if parts[0] == "prompts" and len(parts) > 2:
            return cls._of_resolution(account_id, *parts[1:])
        if item is not Resource.CONTENT:
            return cls(item, account_id, parts[1]) if len(parts) == 2 else cls(None)
        resource, extension = _audio_part(parts[1:])
        return cls(resource, account_id, parts[0], extension)

    @classmethod
    def _of_resolution(cls, account_id: str, prompt_id: str, word: str, *file: str) -> Target:
        """Return the target of the path parts that follow `prompts`, two at least."""
        if word != "resolve" or len(file) > 1:
            return cls(None)
        if not file:
            return cls(Resource.RESOLUTION, account_id, prompt_id)
        named = _FILE_NAME.fullmatch(file[0])
        resource = Resource.RESOLVED_CONTENT if named else None
        return cls(resource, account_id, prompt_id, named[1] if named else "")

    @classmethod
    def of_link(cls, account_id: str, file: str) -> Target:
        """Return the target of a link; the file is the id of a media and an extension."""
        named = _FILE_NAME.fullmatch(file)
        if named is None:
            return cls(None)
        extension = named[1]
        return cls(Resource.LINKED_CONTENT, account_id, file[: -len(extension) - 1], extension)

    @classmethod
    def of_recordings(cls, account_id: str, *parts: str) -> Target:
        """Return the target of the path parts that follow the account, one of them `recordings`."""
        match parts:
            case ("recordings",):
                return cls(Resource.RECORDINGS, account_id)
            case ("recordings", recording_id):
                return cls(Resource.RECORDING, account_id, recording_id)
            case ("users", user_id, "recordings"):
                return cls(Resource.USER_RECORDINGS, account_id, user_id)
        return cls(None)

    @classmethod
    def of_uploads(cls, account_id: str, *parts: str) -> Target:
        """Return the target of the path parts that follow `uploads`."""
        if len(parts) == 1:
            return cls(Resource.UPLOAD, account_id, parts[0])
        return cls(None if parts else Resource.UPLOADS, account_id)

    @classmethod
    def locate(cls, path: str) -> Target:
        """Return the target of a whole path that no rule of the transcoder matched."""
        version, *parts = [unquote(part) for part in path.split("/") if part] or [""]
        if version == "media" and len(parts) == 2:
            return cls.of_link(*parts)
        if version == "recordings" and len(parts) == 2:
            return cls(Resource.RECORDING_FILE, *parts)
        if version not in {"v1", "v2"}:
            return cls(None)
        if len(parts) == 1 and parts[0] in _ALONE:
            return cls(_ALONE[parts[0]])
        if len(parts) > 2 and parts[0] == "accounts":
            return cls._of_account(*parts[1:])
        return cls.of("", *parts[1:]) if parts[:1] == ["media"] else cls(None)

    @classmethod
    def _of_account(cls, account_id: str, *parts: str) -> Target:
        """Return the target of the path parts that follow the account, one at least."""
        match parts[0]:
            case "media":
                return cls.of(account_id, *parts[1:])
            case "uploads":
                return cls.of_uploads(account_id, *parts[1:])
        return cls.of_recordings(account_id, *parts)


def _audio_part(parts: Sequence[str]) -> tuple[Resource | None, str]:
    """Return the resource that follows the id of a media, and an extension."""
    if len(parts) == 2:
        named = _FILE_NAME.fullmatch(parts[1]) if parts[0] == "raw" else None
        return (Resource.NAMED_CONTENT, named[1]) if named else (None, "")
    word, _, extension = parts[0].partition(".")
    if len(parts) > 2:
        return None, ""
    if parts[0] in _OF_AUDIO:
        return _OF_AUDIO[parts[0]], ""
    return (Resource.CONTENT if word == "raw" else None), extension
