"""Operations on documents: create, get, update, patch and delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_media.access.accounts import ReadScope, WriteScope
from kazoo_media.audio.formats import ACCEPTED_TYPES
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.conditions import (
    check_conditions,
    check_match,
    is_conditional,
    is_unchanged,
    last_modified,
    pinned_revision,
)
from kazoo_media.crossbar.envelopes import Envelopes, public
from kazoo_media.crossbar.identifiers import decoded, location, twice_decoded
from kazoo_media.crossbar.requests import Request
from kazoo_media.documents.large import computed
from kazoo_media.documents.rules import validated
from kazoo_media.documents.violations import wrong_type
from kazoo_media.errors import (
    PreconditionFailedError,
    UnsupportedMediaTypeError,
    ValidationError,
)
from kazoo_media.media.library import Library
from kazoo_media.media.measuring import Measuring
from kazoo_media.model import SYSTEM_ACCOUNT_ID, Media


class Documents:
    """Answers requests about documents."""

    def __init__(self, library: Library, measuring: Measuring, envelopes: Envelopes) -> None:
        self._library = library
        self._measuring = measuring
        self._envelopes = envelopes

    async def create(self, scope: WriteScope, request: Request) -> Answer:
        """Create a document; answer 201 with its Location."""
        if_match = request.headers.get("if-match")
        if if_match:
            # Validation errors go before preconditions.
            await computed(lambda: validated(request.data, None, ""), request.data)
            raise PreconditionFailedError(expected=if_match, actual="")
        media = await self._library.create(scope, request.data, _chosen_id(request.data))
        account_id = "" if scope.account_id == SYSTEM_ACCOUNT_ID else scope.account_id
        headers = {"location": location(account_id, media.id)}
        return await self._envelopes.of_media(request, media, 201, headers)

    async def get(self, scope: ReadScope, request: Request) -> Answer:
        """Return a document, or 304 if the client has it already."""
        media = await self._library.get(scope, decoded(request.target.name))
        check_match(request.headers, media)
        if is_unchanged(request.headers, media.revision, media.modified_ms):
            return Answer(304, headers=validators(media))
        media = await self._measuring.measured(media)
        return await self._envelopes.of_media(request, media, headers=validators(media))

    async def update(self, scope: WriteScope, request: Request) -> Answer:
        """Replace a document."""
        media_id = decoded(request.target.name)
        revision = await self._expected_revision(scope, request, media_id)
        data = request.data
        media = await self._library.update(scope, media_id, lambda _: data, data, revision)
        return await self._envelopes.of_media(request, media)

    async def patch(self, scope: WriteScope, request: Request) -> Answer:
        """Merge changes into a document."""
        media_id = decoded(request.target.name)
        revision = await self._expected_revision(scope, request, media_id)
        media = await self._library.patch(scope, media_id, request.data, revision)
        return await self._envelopes.of_media(request, media)

    async def delete(self, scope: WriteScope, request: Request) -> Answer:
        """Delete a document and return the deleted document."""
        media_id = decoded(request.target.name)
        revision = ""
        if is_conditional(request.headers):
            media = await self._library.get(scope, media_id)
            check_conditions(request.headers, media)
            revision = pinned_revision(request.headers, media)
        media = await self._library.delete(
            scope, media_id, hard=is_hard_delete(request), if_revision=revision
        )
        data = {**public(media), "_read_only": {"deleted": True}}
        body = await self._envelopes.success(request, data, revision=media.revision)
        return Answer.whole(200, body)

    async def _expected_revision(self, scope: WriteScope, request: Request, media_id: str) -> str:
        """Return the revision that the document must have to be changed; "": any.

        Raises:
            MediaNotFoundError: the media does not exist.
            PreconditionFailedError: a condition of the request is false, and its body is of a
                foreign type.
            UnsupportedMediaTypeError: the body is neither a document nor audio.
        """
        headers = request.headers
        if not request.foreign and not is_conditional(headers):
            return ""
        media = await self._library.get(scope, media_id)
        if request.foreign:
            check_conditions(headers, media)
            message = f"content type {request.content_type!r} is neither JSON nor audio"
            raise UnsupportedMediaTypeError(message, ACCEPTED_TYPES)
        try:
            check_conditions(headers, media)
        except PreconditionFailedError as error:
            # No document has this revision: the library raises the error after validation.
            return error.facts["expected"]
        return pinned_revision(headers, media)


def is_hard_delete(request: Request) -> bool:
    """Return whether a document is to be removed for good."""
    sent = request.data.get("hard_delete")
    return sent in (True, "true") or request.query_value("hard_delete") == "true"


def validators(media: Media) -> dict[str, str]:
    """Return the headers of a document; a client may keep it but must ask before each use."""
    return {
        "etag": f'"{media.revision}"',
        "last-modified": last_modified(media),
        "cache-control": "private, no-cache",
        "vary": "accept",
    }


def _chosen_id(data: Mapping[str, Any]) -> str:
    chosen = data.get("id")
    if chosen is None:
        return ""
    if not isinstance(chosen, str):
        raise ValidationError([wrong_type("id", "string", chosen)])
    return twice_decoded(chosen)
