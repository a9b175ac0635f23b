"""The typed client of a running service."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc.aio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from kazoo_media.client.administration import AdministrationCalls
from kazoo_media.client.channels import Channels
from kazoo_media.client.connection import Connection, Metadata, TlsFiles, open_channel
from kazoo_media.client.downloads import Download, save
from kazoo_media.client.errors import MediaServiceError
from kazoo_media.client.playback import PlaybackCalls
from kazoo_media.client.spool_writer import SpoolWriter
from kazoo_media.client.upload_calls import UploadCalls
from kazoo_media.client.uploads import (
    Progress,
    StreamedUpload,
    no_progress,
    opened,
    whole_upload,
    whole_upload_method,
)
from kazoo_media.v1 import (
    account_service_pb2_grpc,
    language_service_pb2,
    language_service_pb2_grpc,
    media_pb2,
    media_service_pb2,
    media_service_pb2_grpc,
    prompt_service_pb2,
    prompt_service_pb2_grpc,
    settings_service_pb2_grpc,
    speech_service_pb2,
    speech_service_pb2_grpc,
    upload_service_pb2_grpc,
)


class Client(AdministrationCalls, PlaybackCalls, UploadCalls):
    """A connection to the service, safe for any number of concurrent calls.

    Usage:
        async with Client("127.0.0.1:50051", api_key=key) as client:
            media = await client.create_media(account_id, Media(name="Music on hold"))
            await client.upload(account_id, media.id, Path("hold.wav"))
            async for each in client.list_media(ListMediaRequest(account_id=account_id)):
                ...

    Every method raises MediaServiceError when the service refuses or does not answer. Calls that
    are safe to repeat are retried a few times while the service is UNAVAILABLE.
    """

    def __init__(
        self,
        target: str,
        api_key: str = "",
        token: str = "",
        tls: TlsFiles | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """Configure a client; `async with` opens the connection.

        Args:
            target: host:port.
            api_key: The client requests tokens for it and renews them.
            token: The first token. Without an API key it is the only one.
            tls: None: a connection without TLS. Without an API key and a token, its certificate
                identifies the caller.
            timeout_s: Longest duration of a call; uploads, downloads and conversions have no limit.

        Raises:
            ValueError: there is no API key, token or certificate.
        """
        if not (api_key or token or (tls and tls.cert)):
            raise ValueError("a client needs an api_key, a token or a certificate")
        self._target, self._tls = target, tls
        self._identity = api_key, token, timeout_s

    async def __aenter__(self) -> Self:
        channel = await open_channel(self._target, self._tls)
        self._connection = Connection(channel, *self._identity)
        self._media = media_service_pb2_grpc.MediaServiceStub(channel)
        self._upload_whole = whole_upload_method(channel)
        self._prompts = prompt_service_pb2_grpc.PromptServiceStub(channel)
        self._languages = language_service_pb2_grpc.LanguageServiceStub(channel)
        self._speech = speech_service_pb2_grpc.SpeechServiceStub(channel)
        self._settings = settings_service_pb2_grpc.SettingsServiceStub(channel)
        self._accounts = account_service_pb2_grpc.AccountServiceStub(channel)
        self._uploads = upload_service_pb2_grpc.UploadServiceStub(channel)
        self._channels = Channels(partial(open_channel, self._target, self._tls))
        self._spool_writer = SpoolWriter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._channels.aclose()
        await self._connection.aclose()

    async def token(self) -> str:
        """Return a token; "" if the client has only a certificate.

        With an API key the token is valid for at least a minute.
        """
        return await self._connection.token()

    async def account_id(self) -> str:
        """Return the id of the account that this client acts for."""
        return await self._connection.account_id()

    async def create_media(self, account_id: str, media: media_pb2.Media) -> media_pb2.Media:
        """Create a document without audio and return it.

        A caller that sets `media.id` may repeat the call: it fails with CONFLICT after a success.
        """
        request = media_service_pb2.CreateMediaRequest(account_id=account_id, media=media)
        return (await self._connection.unary(self._media.CreateMedia, request)).media

    async def get_media(self, account_id: str, media_id: str) -> media_pb2.Media:
        """Return a document."""
        request = media_service_pb2.GetMediaRequest(account_id=account_id, media_id=media_id)
        return (await self._connection.unary(self._media.GetMedia, request)).media

    async def list_media(
        self, request: media_service_pb2.ListMediaRequest
    ) -> AsyncIterator[media_pb2.Media]:
        """Yield all documents that match."""
        async for page in self._connection.pages(self._media.ListMedia, request):
            for media in page.media:
                yield media

    async def update_media(
        self,
        account_id: str,
        media: media_pb2.Media,
        fields: Sequence[str] = (),
        if_revision: str = "",
    ) -> media_pb2.Media:
        """Change fields of the document `media.id` and return it.

        Args:
            fields: Empty: the whole document is replaced.
            if_revision: The revision that the stored document must have; "": any.
        """
        request = media_service_pb2.UpdateMediaRequest(
            account_id=account_id,
            media=media,
            update_mask=FieldMask(paths=fields),
            if_revision=if_revision,
        )
        return (await self._connection.unary(self._media.UpdateMedia, request)).media

    async def delete_media(
        self, account_id: str, media_id: str, *, hard: bool = False, if_revision: str = ""
    ) -> media_pb2.Media:
        """Delete a document with its audio and return the deleted document.

        Args:
            hard: Delete for good, so that the id can be used again.
            if_revision: The revision that the stored document must have; "": any.
        """
        request = media_service_pb2.DeleteMediaRequest(
            account_id=account_id, media_id=media_id, hard=hard, if_revision=if_revision
        )
        return (await self._connection.unary(self._media.DeleteMedia, request)).media

    async def purge_media(self, account_id: str, deleted_until: datetime) -> int:
        """Remove the media deleted up to a time for good; return their number."""
        request = media_service_pb2.PurgeMediaRequest(
            account_id=account_id, deleted_until=Timestamp(seconds=int(deleted_until.timestamp()))
        )
        return (await self._connection.unary(self._media.PurgeMedia, request)).purged_count

    async def upload(
        self,
        account_id: str,
        media_id: str,
        source: Path | AsyncIterable[bytes],
        content_type: str = "",
        progress: Progress = no_progress,
        *,
        preset: str = "",
    ) -> media_pb2.Media:
        """Replace the audio of a media by a file or by the bytes of an iterator.

        When the call returns, the new audio is durable and live. After any error, including one
        that `source` raises, the previous audio is live.

        Args:
            content_type: "": detected from the content.
            preset: How to normalize the audio; "": as the settings say.
        """
        header = media_service_pb2.UploadContentRequest.Header(
            account_id=account_id, media_id=media_id, content_type=content_type, preset=preset
        )
        return (await self._upload(header, source, progress)).media

    async def put(
        self,
        header: media_service_pb2.UploadContentRequest.Header,
        source: Path | AsyncIterable[bytes],
        progress: Progress = no_progress,
    ) -> media_service_pb2.UploadContentResponse:
        """Create or change the document `header.media` together with its audio.

        When the call returns, both are durable and live. After any error, including one that
        `source` raises, neither has changed.
        """
        return await self._upload(header, source, progress)

    async def normalize_media(
        self, account_id: str, media_id: str, preset: str = "", *, force: bool = False
    ) -> media_service_pb2.NormalizeMediaResponse:
        """Convert the original of a media again. The call has no timeout.

        Args:
            preset: How to normalize the audio; "": as the settings say.
            force: Convert also if the stored audio was made in the same way.
        """
        request = media_service_pb2.NormalizeMediaRequest(
            account_id=account_id, media_id=media_id, preset=preset, force=force
        )
        return await self._connection.unary(self._media.NormalizeMedia, request, timed=False)

    @asynccontextmanager
    async def download_stream(
        self, request: media_service_pb2.DownloadContentRequest
    ) -> AsyncIterator[Download]:
        """Yield a download; leaving the block ends it.

        Usage:
            async with client.download_stream(DownloadContentRequest(...)) as download:
                async for data in download:
                    ...
        """
        calls: list[Any] = []

        async def attempt(metadata: Metadata) -> Download:
            calls.append(self._media.DownloadContent(request, metadata=metadata))
            return await Download.begin(calls[-1])

        try:
            yield await self._connection.authorized(attempt)
        finally:
            for call in calls:
                call.cancel()

    async def download(
        self,
        account_id: str,
        media_id: str,
        destination: Path,
        rendition: media_pb2.RenditionKind.ValueType = media_pb2.RENDITION_KIND_UNSPECIFIED,
        progress: Progress = no_progress,
        version: int = 0,
    ) -> media_pb2.Rendition:
        """Write the audio of a media to a file and return its rendition.

        The file appears when it is complete and durable. Errors leave the previous file unchanged.

        Args:
            version: The number of an earlier content; 0: the present one.
        """
        request = media_service_pb2.DownloadContentRequest(
            account_id=account_id, media_id=media_id, rendition=rendition, version=version
        )
        async with self.download_stream(request) as download:
            await save(download, destination, progress)
            return download.rendition

    async def peaks(
        self, account_id: str, media_id: str, bucket_count: int = 0
    ) -> media_service_pb2.GetPeaksResponse:
        """Return the waveform of the audio in at most `bucket_count` buckets (0: 800)."""
        request = media_service_pb2.GetPeaksRequest(
            account_id=account_id, media_id=media_id, bucket_count=bucket_count
        )
        return await self._connection.unary(self._media.GetPeaks, request)

    async def list_prompts(self, account_id: str) -> AsyncIterator[prompt_service_pb2.PromptCount]:
        """Yield the prompts of an account, each with the number of its translations."""
        request = prompt_service_pb2.ListPromptsRequest(account_id=account_id)
        async for page in self._connection.pages(self._prompts.ListPrompts, request):
            for prompt in page.prompts:
                yield prompt

    async def list_translations(self, account_id: str, prompt_id: str) -> AsyncIterator[str]:
        """Yield the media ids of a prompt in all languages."""
        request = prompt_service_pb2.ListTranslationsRequest(
            account_id=account_id, prompt_id=prompt_id
        )
        async for page in self._connection.pages(self._prompts.ListTranslations, request):
            for media_id in page.media_ids:
                yield media_id

    async def list_languages(self, account_id: str) -> language_service_pb2.ListLanguagesResponse:
        """Return the languages of an account, each with the number of its media."""
        request = language_service_pb2.ListLanguagesRequest(account_id=account_id)
        return await self._connection.unary(self._languages.ListLanguages, request)

    async def list_media_by_language(self, account_id: str, language: str) -> AsyncIterator[str]:
        """Yield the ids of the media of a language; with "", of the media without a language."""
        request = language_service_pb2.ListMediaByLanguageRequest(
            account_id=account_id, language=language
        )
        async for page in self._connection.pages(self._languages.ListMediaByLanguage, request):
            for media_id in page.media_ids:
                yield media_id

    async def list_voices(self) -> speech_service_pb2.ListVoicesResponse:
        """Return the text-to-speech provider and the voices that a document may name."""
        request = speech_service_pb2.ListVoicesRequest()
        return await self._connection.unary(self._speech.ListVoices, request)

    async def _upload(
        self,
        header: media_service_pb2.UploadContentRequest.Header,
        source: Path | AsyncIterable[bytes],
        progress: Progress,
    ) -> media_service_pb2.UploadContentResponse:
        if not isinstance(source, Path):
            return await self._send(header, source, progress)
        async with opened(source) as file:
            if file.whole is not None:
                request = whole_upload(header, file.whole)
                response = await self._connection.unary(self._upload_whole, request, timed=False)
                progress(file.size_bytes, file.size_bytes)
                return response
            sized = media_service_pb2.UploadContentRequest.Header()
            sized.CopyFrom(header)
            sized.expected_bytes = file.size_bytes
            return await self._send(sized, file.blocks, progress)

    async def _send(
        self,
        header: media_service_pb2.UploadContentRequest.Header,
        source: AsyncIterable[bytes],
        progress: Progress,
    ) -> media_service_pb2.UploadContentResponse:
        uploads: list[StreamedUpload] = []

        async def attempt(metadata: Metadata) -> None:
            uploads.append(StreamedUpload(self._media.UploadContent(metadata=metadata)))
            await uploads[-1].begin(header)

        try:
            await self._connection.authorized(attempt)
            # No retry from here on: the source cannot yield the same bytes again, and the rest
            # of it must not be taken for all of it.
            return await uploads[-1].send(source, header.expected_bytes, progress)
        except grpc.aio.AioRpcError as error:
            raise MediaServiceError.of(error) from error
        finally:
            for upload in uploads:
                upload.cancel()
