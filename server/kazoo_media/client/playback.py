"""The calls for links, the resolution of prompts, and versions."""

from __future__ import annotations

from collections.abc import Sequence

from kazoo_media.client.connection import Connection
from kazoo_media.v1 import (
    media_pb2,
    media_service_pb2,
    media_service_pb2_grpc,
    prompt_service_pb2,
    prompt_service_pb2_grpc,
)


class PlaybackCalls:
    """The calls of a client about what is played."""

    _connection: Connection
    _media: media_service_pb2_grpc.MediaServiceAsyncStub
    _prompts: prompt_service_pb2_grpc.PromptServiceAsyncStub

    async def create_link(
        self,
        account_id: str,
        media_id: str,
        rendition: media_pb2.RenditionKind.ValueType = media_pb2.RENDITION_KIND_UNSPECIFIED,
        lifetime_s: int | None = None,
    ) -> media_service_pb2.Link:
        """Return a link to the audio of a media, which needs no token.

        Args:
            lifetime_s: Seconds until it ends; None: it ends with its audio.
        """
        request = media_service_pb2.CreateLinkRequest(
            account_id=account_id, media_id=media_id, rendition=rendition
        )
        if lifetime_s is not None:
            request.lifetime.FromSeconds(lifetime_s)
        return (await self._connection.unary(self._media.CreateLink, request)).link

    async def resolve_prompt(
        self, account_id: str, prompt_id: str, language: str = "", extension: str = ""
    ) -> prompt_service_pb2.ResolvePromptResponse:
        """Return the media that a prompt resolves to, with a link to its audio.

        Args:
            language: "": the default language.
            extension: The format that the audio must have; "": any.
        """
        request = prompt_service_pb2.ResolvePromptRequest(
            account_id=account_id, prompt_id=prompt_id, language=language, format=extension
        )
        return await self._connection.unary(self._prompts.ResolvePrompt, request)

    async def list_versions(
        self, account_id: str, media_id: str
    ) -> Sequence[media_service_pb2.MediaVersion]:
        """Return the earlier contents of a media, the newest first."""
        request = media_service_pb2.ListVersionsRequest(account_id=account_id, media_id=media_id)
        return (await self._connection.unary(self._media.ListVersions, request)).versions

    async def restore_media(
        self, account_id: str, media_id: str, version: int = 0
    ) -> media_pb2.Media:
        """Put an earlier content of a media back and return the document.

        Args:
            version: 0: the media was deleted, and is made live again.
        """
        request = media_service_pb2.RestoreMediaRequest(
            account_id=account_id, media_id=media_id, version=version
        )
        return (await self._connection.unary(self._media.RestoreMedia, request)).media
