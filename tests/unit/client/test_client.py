from __future__ import annotations

import time

import grpc
import pytest
from google.protobuf.struct_pb2 import NULL_VALUE, Value

from kazoo_media.client import Client, ListMediaRequest, Media, MediaServiceError
from kazoo_media.v1.account_service_pb2 import CreateAccountRequest
from tests.rpc.service import Service
from tests.unit.client.unsteady import UnsteadyServer


async def test_a_client_without_an_identity_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="an api_key, a token or a certificate"):
        Client("127.0.0.1:1")


async def test_lists_go_on_over_all_pages(client: Client) -> None:
    for number in range(7):
        await client.create_media("system", Media(id=f"media-{number}", name="File"))
    request = ListMediaRequest(account_id="system", page_size=3)
    ids = [media.id async for media in client.list_media(request)]
    assert ids == [f"media-{number}" for number in range(7)]
    assert request.page_token == ""


async def test_a_masked_update_leaves_the_other_fields(client: Client, media: Media) -> None:
    changed = await client.update_media(
        "system", Media(id=media.id, name="other", description="Waltz"), ["description"]
    )
    assert (changed.name, changed.description) == ("Music on hold", "Waltz")
    assert (await client.get_media("system", media.id)).description == "Waltz"


async def test_prompts_languages_and_translations_are_listed(client: Client) -> None:
    for language in ("en-us", "fr-fr"):
        await client.create_media(
            "system", Media(name="Welcome", prompt_id="welcome", language=language)
        )
    prompts = [
        (each.prompt_id, each.translation_count) async for each in client.list_prompts("system")
    ]
    assert prompts == [("welcome", 2)]
    ids = [each async for each in client.list_translations("system", "welcome")]
    assert ids == ["en-us/welcome", "fr-fr/welcome"]
    languages = (await client.list_languages("system")).languages
    assert [(each.language, each.media_count) for each in languages] == [("en-us", 1), ("fr-fr", 1)]
    assert [each async for each in client.list_media_by_language("system", "FR-FR")] == [ids[1]]


async def test_settings_are_changed_and_given_back(client: Client) -> None:
    on = Value(bool_value=True)
    await client.set_default_setting("crossbar.media", "normalize_media", on)
    setting = await client.set_setting("crossbar.media", "normalize_media", Value(bool_value=False))
    assert setting.value.bool_value is False
    setting = await client.set_setting(
        "crossbar.media", "normalize_media", Value(null_value=NULL_VALUE)
    )
    assert setting.value.bool_value is True
    await client.flush_settings()
    [found] = await client.get_settings("crossbar.media", "normalize_media")
    assert found.value.bool_value is True


async def test_a_new_account_works_with_its_key(client: Client, address: str) -> None:
    made = await client.create_account(CreateAccountRequest(name="Acme", realm="acme.example"))
    assert made.account.id in [each.id async for each in client.list_accounts()]
    async with Client(address, api_key=made.api_key) as acme:
        assert await acme.account_id() == made.account.id
        assert (await acme.get_account()).realm == "acme.example"


async def test_a_token_alone_is_enough(client: Client, address: str) -> None:
    async with Client(address, token=await client.token()) as other:
        assert await other.account_id() == await client.account_id()


async def test_a_token_that_is_not_taken_is_replaced_once(service: Service, address: str) -> None:
    async with Client(address, api_key=service.admin_key, token="worn.out.token") as client:
        assert (await client.get_account()).superduper_admin


async def test_a_token_is_renewed_before_it_ends(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = await client.token()
    assert await client.token() == early
    later = time.time() + 3590
    monkeypatch.setattr(time, "time", lambda: later)
    assert await client.token() != early


async def test_a_replaced_key_ends_the_client(client: Client, address: str) -> None:
    made = await client.create_account(CreateAccountRequest(name="Acme"))
    async with Client(address, api_key=made.api_key) as acme:
        await acme.get_account()
        new_key = await client.rotate_api_key(made.account.id)
        with pytest.raises(MediaServiceError) as caught:
            await acme.get_account()
    assert caught.value.reason == "INVALID_CREDENTIALS"
    async with Client(address, api_key=new_key) as acme:
        assert (await acme.get_account()).name == "Acme"


async def test_an_error_tells_its_reason_and_facts(client: Client) -> None:
    with pytest.raises(MediaServiceError, match="'nothing' does not exist") as caught:
        await client.get_media("system", "nothing")
    error = caught.value
    assert error.code is grpc.StatusCode.NOT_FOUND
    assert error.reason == "MEDIA_NOT_FOUND"
    assert error.metadata == {"media_id": "nothing"}
    assert error.request_id


async def test_an_error_tells_every_violation(client: Client) -> None:
    with pytest.raises(MediaServiceError) as caught:
        await client.create_media("system", Media(id="x", description="d" * 129))
    assert caught.value.reason == "VALIDATION"
    assert sorted((each.field, each.reason) for each in caught.value.violations) == [
        ("description", "MAX_LENGTH"),
        ("name", "REQUIRED"),
    ]


async def test_a_second_create_is_a_conflict(client: Client, media: Media) -> None:
    with pytest.raises(MediaServiceError) as caught:
        await client.create_media("system", media)
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS


async def test_a_service_that_is_not_there_is_unavailable(address: str) -> None:
    async with Client(address, api_key="0" * 64) as client:
        with pytest.raises(MediaServiceError) as caught:
            await client.get_account()
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "")


async def test_a_harmless_call_is_repeated_while_the_service_is_unavailable(
    address: str, unsteady: UnsteadyServer
) -> None:
    unsteady.unavailable_calls = 2
    async with Client(address, token="any") as client:
        await client.get_account()
    assert unsteady.account_calls == 3


async def test_a_call_that_may_have_had_an_effect_is_not_repeated(
    address: str, unsteady: UnsteadyServer
) -> None:
    async with Client(address, token="any") as client:
        with pytest.raises(MediaServiceError):
            await client.create_account(CreateAccountRequest(name="Acme"))
    assert unsteady.account_calls == 1
