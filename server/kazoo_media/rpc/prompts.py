"""PromptService."""

from __future__ import annotations

from typing_extensions import override

from kazoo_media.core import Core
from kazoo_media.media.resolution import PassedOver
from kazoo_media.rpc.callers import Callers
from kazoo_media.rpc.convert import link_message
from kazoo_media.rpc.fields import required
from kazoo_media.rpc.paging import page_token, rows_of, start_of
from kazoo_media.transport.context import Context
from kazoo_media.v1 import prompt_service_pb2 as pb
from kazoo_media.v1.prompt_service_pb2_grpc import PromptServiceServicer


class PromptServicer(PromptServiceServicer):
    """Prompts and their translations."""

    def __init__(self, core: Core) -> None:
        self._callers = Callers(core)
        self._prompts = core.prompts
        self._resolver = core.resolver
        self._links = core.links

    @override
    async def ListPrompts(
        self, request: pb.ListPromptsRequest, context: Context
    ) -> pb.ListPromptsResponse:
        scope = await self._callers.may_read(context, request.account_id)
        page = await self._prompts.count_prompts(
            scope, start_of(request.page_token), rows_of(request.page_size)
        )
        return pb.ListPromptsResponse(
            prompts=[
                pb.PromptCount(prompt_id=prompt_id, translation_count=count)
                for prompt_id, count in page.counts
            ],
            next_page_token=page_token(page.next_start),
        )

    @override
    async def ListTranslations(
        self, request: pb.ListTranslationsRequest, context: Context
    ) -> pb.ListTranslationsResponse:
        scope = await self._callers.may_read(context, request.account_id)
        page = await self._prompts.translations(
            scope,
            required("prompt_id", request.prompt_id),
            start_of(request.page_token),
            rows_of(request.page_size),
        )
        return pb.ListTranslationsResponse(
            media_ids=[media_id for media_id, _ in page.translations],
            next_page_token=page_token(page.next_start),
        )

    @override
    async def ResolvePrompt(
        self, request: pb.ResolvePromptRequest, context: Context
    ) -> pb.ResolvePromptResponse:
        scope = await self._callers.may_read(context, request.account_id)
        prompt_id = required("prompt_id", request.prompt_id)
        found = await self._resolver.resolve(scope, prompt_id, request.language, request.format)
        link = await self._links.create(found.media, found.rendition)
        return pb.ResolvePromptResponse(
            account_id=found.media.account_id,
            media_id=found.media.id,
            language=found.language,
            link=link_message(link),
            passed_over=map(_passed_over, found.passed_over),
        )


def _passed_over(each: PassedOver) -> pb.PassedOverTranslation:
    return pb.PassedOverTranslation(
        account_id=each.account_id,
        media_id=each.media_id,
        language=each.language,
        reason=pb.PassedOverTranslation.Reason.Value(f"REASON_{each.reason.name}"),
    )
