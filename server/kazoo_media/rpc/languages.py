"""LanguageService."""

from __future__ import annotations

from typing_extensions import override

from kazoo_media.core import Core
from kazoo_media.rpc.callers import Callers
from kazoo_media.rpc.paging import page_token, rows_of, start_of
from kazoo_media.transport.context import Context
from kazoo_media.v1 import language_service_pb2 as pb
from kazoo_media.v1.language_service_pb2_grpc import LanguageServiceServicer


class LanguageServicer(LanguageServiceServicer):
    """The languages of an account's media."""

    def __init__(self, core: Core) -> None:
        self._callers = Callers(core)
        self._prompts = core.prompts

    @override
    async def ListLanguages(
        self, request: pb.ListLanguagesRequest, context: Context
    ) -> pb.ListLanguagesResponse:
        scope = await self._callers.may_read(context, request.account_id)
        counts = await self._prompts.count_languages(scope)
        return pb.ListLanguagesResponse(
            languages=[
                pb.LanguageCount(language=language, media_count=count)
                for language, count in counts
                if language is not None
            ],
            missing_count=sum(count for language, count in counts if language is None),
        )

    @override
    async def ListMediaByLanguage(
        self, request: pb.ListMediaByLanguageRequest, context: Context
    ) -> pb.ListMediaByLanguageResponse:
        scope = await self._callers.may_read(context, request.account_id)
        page = await self._prompts.media_of_language(
            scope,
            request.language or None,
            start_of(request.page_token),
            rows_of(request.page_size),
        )
        return pb.ListMediaByLanguageResponse(
            media_ids=page.ids, next_page_token=page_token(page.next_start)
        )
