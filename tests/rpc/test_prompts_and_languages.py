"""PromptService and LanguageService."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kazoo_media.v1.language_service_pb2 import ListLanguagesRequest, ListMediaByLanguageRequest
from kazoo_media.v1.language_service_pb2_grpc import LanguageServiceStub
from kazoo_media.v1.media_pb2 import Media
from kazoo_media.v1.prompt_service_pb2 import (
    ListPromptsRequest,
    ListTranslationsRequest,
    PassedOverTranslation,
    ResolvePromptRequest,
)
from kazoo_media.v1.prompt_service_pb2_grpc import PromptServiceStub
from tests.rpc.service import Tenant, refused, upload_messages
from tests.support.audio_samples import tone
from tests.support.whole_uploads import upload_whole


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PromptServiceStub]:
    return PromptServiceStub


@pytest.fixture
def languages(grpc_channel: Any) -> Any:
    return LanguageServiceStub(grpc_channel)


@pytest.fixture
def filled(create: Callable[..., Media]) -> None:
    for prompt_id, used in (("agent", ["fr-FR", "en-US", "de"]), ("vm", ["fr-fr"]), ("z", ["de"])):
        for language in used:
            create(prompt_id=prompt_id, language=language)
    create(id="tune", language="EN-us")
    create(id="silence", language="")


def _paged(call: Any, request: Any, field: str, tenant: Tenant) -> list[Any]:
    """Return all rows, fetched in pages of two."""
    rows: list[Any] = []
    request.page_size = 2
    while True:
        page = call(request, metadata=tenant.metadata)
        found: Sequence[Any] = getattr(page, field)
        rows += found
        if not page.next_page_token:
            return rows
        assert len(found) == 2
        request.page_token = page.next_page_token


@pytest.mark.usefixtures("filled")
def test_prompts_are_counted_by_translations(grpc_stub: Any, tenant: Tenant) -> None:
    request = ListPromptsRequest(account_id=tenant.account_id)
    rows = _paged(grpc_stub.ListPrompts, request, "prompts", tenant)
    assert [(each.prompt_id, each.translation_count) for each in rows] == [
        ("agent", 3),
        ("vm", 1),
        ("z", 1),
    ]


@pytest.mark.usefixtures("filled")
def test_translations_are_listed_by_id(grpc_stub: Any, tenant: Tenant) -> None:
    request = ListTranslationsRequest(account_id=tenant.account_id, prompt_id="agent")
    rows = _paged(grpc_stub.ListTranslations, request, "media_ids", tenant)
    assert rows == ["de/agent", "en-us/agent", "fr-fr/agent"]


@pytest.mark.parametrize("prompt_id", ["AGENT", "none"])
@pytest.mark.usefixtures("filled")
def test_an_unknown_prompt_has_no_translations(
    grpc_stub: Any, tenant: Tenant, prompt_id: str
) -> None:
    request = ListTranslationsRequest(account_id=tenant.account_id, prompt_id=prompt_id)
    assert not grpc_stub.ListTranslations(request, metadata=tenant.metadata).media_ids


def test_a_prompt_id_is_required(grpc_stub: Any, tenant: Tenant) -> None:
    request = ListTranslationsRequest(account_id=tenant.account_id)
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        grpc_stub.ListTranslations(request, metadata=tenant.metadata)
    assert refusal.fields == ["prompt_id"]


@pytest.mark.usefixtures("filled")
def test_languages_are_counted_without_case(languages: Any, tenant: Tenant) -> None:
    answer = languages.ListLanguages(
        ListLanguagesRequest(account_id=tenant.account_id), metadata=tenant.metadata
    )
    counts = [(each.language, each.media_count) for each in answer.languages]
    assert counts == [("de", 2), ("en-us", 2), ("fr-fr", 2)]
    assert answer.missing_count == 1


@pytest.mark.parametrize(
    ("language", "found"),
    [
        ("EN-US", ["en-us/agent", "tune"]),
        ("", ["silence"]),
        ("xx", []),
        ("de", ["de/agent", "de/z"]),
    ],
)
@pytest.mark.usefixtures("filled")
def test_media_of_a_language_are_listed_by_id(
    languages: Any, tenant: Tenant, language: str, found: list[str]
) -> None:
    request = ListMediaByLanguageRequest(account_id=tenant.account_id, language=language)
    assert _paged(languages.ListMediaByLanguage, request, "media_ids", tenant) == found


def test_a_bad_page_token_is_a_bad_request(grpc_stub: Any, languages: Any, tenant: Tenant) -> None:
    fields: dict[str, Any] = {"account_id": tenant.account_id, "page_token": "!"}
    calls = [
        (grpc_stub.ListPrompts, ListPromptsRequest(**fields)),
        (grpc_stub.ListTranslations, ListTranslationsRequest(**fields, prompt_id="x")),
        (languages.ListMediaByLanguage, ListMediaByLanguageRequest(**fields)),
    ]
    for call, request in calls:
        with refused("INVALID_ARGUMENT", "BAD_REQUEST"):
            call(request, metadata=tenant.metadata)


def test_a_prompt_is_resolved_with_a_link_and_what_was_passed_over(
    grpc_stub: Any, create: Callable[..., Media], tenant: Tenant, grpc_addr: str
) -> None:
    create(prompt_id="vm-r", language="fr")
    create(prompt_id="vm-r", language="fr-fr")
    audio = tone(0.1)
    messages = upload_messages(tenant, "fr-fr/vm-r", [audio])
    asyncio.run(upload_whole(grpc_addr, messages, tenant.metadata))
    request = ResolvePromptRequest(account_id=tenant.account_id, prompt_id="vm-r", language="fr-CA")
    found = grpc_stub.ResolvePrompt(request, metadata=tenant.metadata)
    assert (found.account_id, found.media_id) == (tenant.account_id, "fr-fr/vm-r")
    assert found.language == "fr-fr"
    assert found.link.url.startswith(f"/media/{tenant.account_id}/fr-fr%2Fvm-r.wav?sig=")
    assert found.link.rendition.size_bytes == len(audio)
    reasons = [(each.media_id, each.reason) for each in found.passed_over]
    missing, no_audio = PassedOverTranslation.REASON_MISSING, PassedOverTranslation.REASON_NO_AUDIO
    assert reasons == [
        ("fr-ca/vm-r", missing),
        ("fr-ca/vm-r", missing),
        ("fr/vm-r", no_audio),
        ("fr/vm-r", missing),
    ]
    request.format = "mp3"
    with refused("NOT_FOUND", "PROMPT_NOT_FOUND") as refusal:
        grpc_stub.ResolvePrompt(request, metadata=tenant.metadata)
    assert refusal.info.metadata["prompt_id"] == "vm-r"
    assert f"fr-fr/vm-r of {tenant.account_id} (other_format)" in refusal.text
