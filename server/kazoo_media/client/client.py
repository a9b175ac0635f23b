"""The typed client of a running service."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc.aio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from kazoo_media.client.administration import AdministrationCalls
from kazoo_media.client.connection import Connection, Metadata, TlsFiles, open_channel
from kazoo_media.client.downloads import Download, save
from kazoo_media.client.errors import MediaServiceError
from kazoo_media.client.uploads import (
    Progress,
    StreamedUpload,
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
)


def _no_progress(transferred_bytes: int, total_bytes: int | None) -> None:
    """Tell nobody."""


class Client(AdministrationCalls):
    """A connection to the service, safe for any number of concurrent calls.

    Usage:
        async with Client("127.0.0.1:50051", api_key=key) as client:
            media = await client.create_media(account_id, Media(name="Music on hold"))
            await client.upload(account_id, media.id, Path("hold.wav"))
            async for each in client.list_media(ListMediaRequest(account_id=account_id)):
                ...

    Every method raises MediaServiceError when the service refuses or does not answer. Calls whose
    repetition is harmless are repeated a few times while the service is UNAVAILABLE.
    """

    def __init__(
        self,
        target: str,
        api_key: str = "",
        token: str = "",
        tls: TlsFiles | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """Keep what is needed; the connection is made by `async with`.

        Args:
            target: host:port.
            api_key: Tokens are issued for it and renewed as needed.
            token: Used instead of, or before one is issued for, the API key.
            tls: None: a plain connection. With neither API key nor token, the certificate in it
                says who is calling.
            timeout_s: Longest time a call may take; transfers may take any time.

        Raises:
            ValueError: no API key, token or certificate.
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
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connection.aclose()

    async def token(self) -> str:
        """Return a token that is good for at least a minute, where there is an API key; "" where
        there is only a certificate.
        """
        return await self._connection.token()

    async def account_id(self) -> str:
        """Return the id of the account that this client acts for."""
        return await self._connection.account_id()

    async def create_media(self, account_id: str, media: media_pb2.Media) -> media_pb2.Media:
        """Return a new document without audio. With an id of its own choice a caller may repeat
        this: the second time it fails with CONFLICT.
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
        """Yield all documents that match, page by page."""
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
        """Return a document, `media.id`, with those fields changed; none named: all replaced."""
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
        """Delete a document with its audio; return it as it was. `hard`: the id is free again."""
        request = media_service_pb2.DeleteMediaRequest(
            account_id=account_id, media_id=media_id, hard=hard, if_revision=if_revision
        )
        return (await self._connection.unary(self._media.DeleteMedia, request)).media

    async def purge_media(self, account_id: str, deleted_until: datetime) -> int:
        """Remove for good what was soft-deleted until a time; return how many media."""
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
        progress: Progress = _no_progress,
        *,
        preset: str = "",
    ) -> media_pb2.Media:
        """Replace the audio of a media by a file or by what an iterator yields. A preset normalizes
        it so, whatever the settings say.

        When it returns the audio is durable and live; after any error, the source's own too, the
        previous audio is.
        """
        header = media_service_pb2.UploadContentRequest.Header(
            account_id=account_id, media_id=media_id, content_type=content_type, preset=preset
        )
        return (await self._upload(header, source, progress)).media

    async def put(
        self,
        header: media_service_pb2.UploadContentRequest.Header,
        source: Path | AsyncIterable[bytes],
        progress: Progress = _no_progress,
    ) -> media_service_pb2.UploadContentResponse:
        """Create or change a document, `header.media`, together with its audio.

        When it returns both are durable and live; after any error, the source's own too, what was
        there before is unchanged.
        """
        return await self._upload(header, source, progress)

    async def normalize_media(
        self, account_id: str, media_id: str, preset: str = "", *, force: bool = False
    ) -> media_service_pb2.NormalizeMediaResponse:
        """Convert the original of a media anew, as a preset or with "" the settings say; without
        `force` only what was made another way. It takes the time it takes.
        """
        request = media_service_pb2.NormalizeMediaRequest(
            account_id=account_id, media_id=media_id, preset=preset, force=force
        )

        return await self._connection.unary(self._media.NormalizeMedia, request, timed=False)

    @asynccontextmanager
    async def download_stream(
        self, request: media_service_pb2.DownloadContentRequest
    ) -> AsyncIterator[Download]:
        """Yield a download that has begun; leaving the block ends it.

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
        progress: Progress = _no_progress,
    ) -> media_pb2.Rendition:
        """Write the audio of a media to a file and return what it is.

        The file appears when it is complete and durable. After any error it is as it was before.
        """
        request = media_service_pb2.DownloadContentRequest(
            account_id=account_id, media_id=media_id, rendition=rendition
        )
        async with self.download_stream(request) as download:
            await save(download, destination, progress)
            return download.rendition

    async def peaks(
        self, account_id: str, media_id: str, bucket_count: int = 0
    ) -> media_service_pb2.GetPeaksResponse:
        """Return the waveform of what is served, in at most so many stretches (0: 800)."""
        request = media_service_pb2.GetPeaksRequest(
            account_id=account_id, media_id=media_id, bucket_count=bucket_count
        )
        return await self._connection.unary(self._media.GetPeaks, request)

    async def list_prompts(self, account_id: str) -> AsyncIterator[prompt_service_pb2.PromptCount]:
        """Yield the prompts of an account with the number of their translations."""
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
        """Return the languages of an account with the number of their media."""
        request = language_service_pb2.ListLanguagesRequest(account_id=account_id)
        return await self._connection.unary(self._languages.ListLanguages, request)

    async def list_media_by_language(self, account_id: str, language: str) -> AsyncIterator[str]:
        """Yield the ids of the media of a language; "": of those without one."""
        request = language_service_pb2.ListMediaByLanguageRequest(
            account_id=account_id, language=language
        )
        async for page in self._connection.pages(self._languages.ListMediaByLanguage, request):
            for media_id in page.media_ids:
                yield media_id

    async def list_voices(self) -> speech_service_pb2.ListVoicesResponse:
        """Return the voices that a document of source TTS may have, and who speaks with them."""
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
            # From here on nothing is repeated: what a source has yielded is gone, and the rest of
            # it must not pass for all of it.
            return await uploads[-1].send(source, header.expected_bytes, progress)
        except grpc.aio.AioRpcError as error:
            raise MediaServiceError.of(error) from error
        finally:
            for upload in uploads:
                upload.cancel()
