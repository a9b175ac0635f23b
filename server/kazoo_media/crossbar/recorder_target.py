"""The recorder target: whole recordings by file name, for Kazoo's storage plans and switches."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from typing import Any

from kazoo_media.access.accounts import ReadScope, WriteScope
from kazoo_media.audio.formats import essence
from kazoo_media.audio.inspect.sniff import sniff
from kazoo_media.core import Core
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.bodies import Body
from kazoo_media.crossbar.content import Contents
from kazoo_media.crossbar.encodings import Pieces, Wrapped, unwrapped
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.identifiers import decoded
from kazoo_media.crossbar.json_text import invalid_json, parsed
from kazoo_media.crossbar.recording_keys import with_numbers
from kazoo_media.crossbar.recordings import recording_of
from kazoo_media.crossbar.requests import Request
from kazoo_media.documents.large import computed
from kazoo_media.errors import MediaNotFoundError, ValidationError, Violation
from kazoo_media.media.uploads import Declared
from kazoo_media.recordings.files import MOST_TEXT_BYTES
from kazoo_media.settings import MAX_UPLOAD_SIZE

_TEXT = "text/plain"
_TEXT_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_FILE_NAME_CHARACTERS = 255
_NAME_CHARACTERS = 128
_PARAMETERS = frozenset(
    ("accept", "auth_token", "filename", "inline", "key", "pretty_print", "rendition", "verb")
)
"""Query fields with a meaning of their own; all others are keys of the document."""


class RecorderTarget:
    """Answers requests for files of recordings."""

    def __init__(self, core: Core, contents: Contents, envelopes: Envelopes) -> None:
        self._files = core.recording_files
        self._settings = core.settings
        self._contents = contents
        self._envelopes = envelopes

    async def put(self, scope: WriteScope, request: Request, body: Body) -> Answer:
        """Make the file a recording under its name, or replace the one that has the name.

        What is said to be a text is one unless its bytes are audio.
        """
        file_name = _file_name(request)
        encoding = request.headers.get("content-transfer-encoding", "")
        limit_bytes = await self._settings.get(MAX_UPLOAD_SIZE)
        file = await unwrapped(
            request.content_type, encoding, request.size_bytes, body.pieces(), limit_bytes
        )
        if essence(file.content_type) == _TEXT:
            text = await _head(file)
            if sniff(text).format is None:
                await self._files.put_text(scope, file_name, text)
                return Answer.whole(201, await self._envelopes.success(request, {"id": file_name}))
            file = replace(file, content_type="", pieces=_joined(text, file.pieces))
        document = {"name": file_name[:_NAME_CHARACTERS], **_fields(request)}
        for text in file.documents:
            document |= await computed(partial(_keys, text), text)
        declared = Declared(file.content_type or None, file.size_bytes, file_name=file_name)
        change = await self._files.put(scope, file_name, document, declared, _pieces(file))
        status = 201 if change.before is None else 200
        data, revision = recording_of(change.after), change.after.revision
        return Answer.whole(status, await self._envelopes.success(request, data, revision=revision))

    async def get(self, scope: ReadScope, request: Request) -> Answer:
        """Return the audio of the recording that has the name, or the text."""
        file_name = _file_name(request)
        try:
            media = await self._files.get(scope, file_name)
        except MediaNotFoundError:
            text = await self._files.get_text(scope, file_name)
            return Answer(200, text, _TEXT, _TEXT_HEADERS, size_bytes=len(text))
        return await self._contents.of_media(scope, request, media)


def _file_name(request: Request) -> str:
    name = decoded(request.target.name, "file_name")
    if len(name) > _FILE_NAME_CHARACTERS:
        text = f"must not have more than {_FILE_NAME_CHARACTERS} characters"
        raise ValidationError([Violation("file_name", "invalid", text, {})])
    return name


def _fields(request: Request) -> dict[str, Any]:
    """Return the query fields as keys of a document."""
    sent = {key: each[-1] for key, each in request.query.items() if key not in _PARAMETERS}
    if any("\0" in text for pair in sent.items() for text in pair):
        raise ValidationError([Violation("query", "invalid", "must not contain NUL", {})])
    return with_numbers(sent)


def _keys(text: bytes) -> dict[str, Any]:
    """Return the keys of a JSON part."""
    document = parsed(text)
    if not isinstance(document, dict):
        raise invalid_json("the JSON part must be an object")
    return document


async def _pieces(file: Wrapped) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of a file.

    Raises:
        ValidationError: a JSON part follows the file: its keys would be lost.
    """
    async for piece in file.pieces:
        yield piece
    if file.late_documents:
        text = "the JSON part must come before the file"
        raise ValidationError([Violation("file", "invalid", text, {})])


async def _head(file: Wrapped) -> bytes:
    """Return the whole file if it is as short as a text, else a little more than that of it."""
    data = b""
    async for piece in file.pieces:
        data += piece
        if len(data) > MOST_TEXT_BYTES:
            break
    return data


async def _joined(head: bytes, rest: Pieces) -> Pieces:
    yield head
    async for piece in rest:
        yield piece
