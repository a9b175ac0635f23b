"""MediaService's documents, as a client sees them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from kazoo_media.v1 import media_pb2
from kazoo_media.v1.media_pb2 import Media, Tts
from kazoo_media.v1.media_service_pb2 import (
    DeleteMediaRequest,
    GetMediaRequest,
    PurgeMediaRequest,
    UpdateMediaRequest,
    UploadContentRequest,
)
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from tests.contract.upload_promises import PNG
from tests.rpc.service import Tenant, ThreadedService, refused, upload_messages
from tests.support.measured_facts import unmeasured


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[MediaServiceStub]:
    return MediaServiceStub


@pytest.fixture
def get(stub: Any, tenant: Tenant) -> Any:
    def get(media_id: str) -> Any:
        return stub.GetMedia(GetMediaRequest(account_id=tenant.account_id, media_id=media_id)).media

    return get


@pytest.fixture
def update(stub: Any, tenant: Tenant) -> Any:
    def update(media: Media, *mask: str, if_revision: str = "") -> Any:
        return stub.UpdateMedia(
            UpdateMediaRequest(
                account_id=tenant.account_id,
                media=media,
                update_mask=FieldMask(paths=mask),
                if_revision=if_revision,
            )
        ).media

    return update


def test_a_created_document_is_returned_with_all_defaults(
    create: Any, get: Any, tenant: Tenant
) -> None:
    made = create()
    assert get(made.id) == made
    assert len(made.id) == 32
    assert (made.account_id, made.name, made.language) == (tenant.account_id, "File", "en-us")
    assert made.media_source == media_pb2.MEDIA_SOURCE_UPLOAD
    assert made.streamable
    assert made.tts.voice == "female/en-US"
    assert made.revision.startswith("1-")
    assert made.create_time == made.update_time
    assert not made.renditions
    assert not made.HasField("content_length")


def test_every_field_comes_back_as_it_was_sent(create: Any, get: Any) -> None:
    fields: dict[str, Any] = {
        "id": "music/hold",
        "name": "ą 音",
        "description": "text",
        "language": "pl-PL",
        "media_source": media_pb2.MEDIA_SOURCE_RECORDING,
        "streamable": False,
        "source_id": "s" * 32,
        "source_type": "module",
        "tts": Tts(text="hello", voice="male/de-DE"),
    }
    sent = Media(**fields)
    sent.extra.update({"origin": "api", "n": 1, "list": [1.5, None, True, {"a": "b"}]})
    create(**fields, extra=sent.extra)
    read = get("music/hold")
    for output_only in ("account_id", "revision", "create_time", "update_time"):
        read.ClearField(output_only)
    assert read == sent


def test_output_only_fields_of_a_request_are_ignored(create: Any) -> None:
    made = create(revision="9-x", account_id="0" * 32, content_type="text/html", content_length=5)
    assert made.revision.startswith("1-")
    assert not made.HasField("content_type")


@pytest.mark.parametrize(("language", "stored"), [(None, "en-us"), ("", None)])
def test_an_absent_language_is_the_default_one_and_an_empty_one_none(
    create: Any, language: str | None, stored: str | None
) -> None:
    made = create(language=language)
    assert (made.language if made.HasField("language") else None) == stored


def test_a_prompt_gets_its_id_from_language_and_prompt_id(create: Any) -> None:
    made = create(id="ignored", prompt_id="vm-enter_pass", language="FR-fr")
    assert (made.id, made.language) == ("fr-fr/vm-enter_pass", "fr-fr")


def test_a_chosen_id_is_given_once(create: Any) -> None:
    create(id="x")
    with refused("ALREADY_EXISTS", "CONFLICT") as refusal:
        create(id="x")
    assert refusal.info.metadata["media_id"] == "x"


def test_all_broken_rules_are_reported_together(create: Any) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        create(name="", description="d" * 129, source_id="short", tts=Tts(voice="robot"))
    assert sorted(refusal.fields) == ["description", "name", "source_id", "tts.voice"]


def test_a_nul_in_a_document_is_refused(create: Any) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION"):
        create(name="a\0b")


def test_an_unknown_source_is_refused(create: Any) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        create(media_source=99)
    assert refusal.fields == ["media_source"]


def test_speech_has_its_audio_when_it_is_created(create: Any, get: Any, update: Any) -> None:
    made = create(media_source=media_pb2.MEDIA_SOURCE_TTS, tts=Tts(text="hello"))
    assert unmeasured(get(made.id)) == made
    assert made.renditions[0].duration_ms > 300
    changed = update(Media(id=made.id, tts=Tts(text="hello, how are you?")), "tts.text")
    assert changed.content_length > made.content_length
    renamed = update(Media(id=made.id, name="n"), "name")
    assert unmeasured(renamed).renditions == unmeasured(changed).renditions


def test_speech_that_fails_says_why(create: Any) -> None:
    with refused("INTERNAL", "SPEECH_FAILED") as refusal:
        create(
            media_source=media_pb2.MEDIA_SOURCE_TTS,
            tts=Tts(text="日本", voice="female/ja-JP"),
        )
    assert "kanji" in refusal.text


@pytest.mark.parametrize("media_id", ["unknown", "ä" * 50_000])
def test_an_unknown_media_is_not_found_however_long_its_id(get: Any, media_id: str) -> None:
    with refused("NOT_FOUND", "MEDIA_NOT_FOUND"):
        get(media_id)


def test_a_missing_id_is_refused(get: Any, update: Any) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        get("")
    assert refusal.fields == ["media_id"]
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        update(Media(name="x"))
    assert refusal.fields == ["media.id"]


def test_an_update_changes_only_masked_fields_and_counts_the_revision(
    create: Any, update: Any, get: Any
) -> None:
    made = create(description="keep")
    made.extra.update({"origin": "api"})
    changed = update(
        Media(id=made.id, name="new", description="not this", extra=made.extra),
        "name",
        "extra.origin",
    )
    assert (changed.name, changed.description) == ("new", "keep")
    assert changed.extra["origin"] == "api"
    assert changed.revision.startswith("2-")
    assert get(made.id) == changed


def test_an_update_of_a_part_of_tts_keeps_the_rest(create: Any, update: Any) -> None:
    made = create(tts=Tts(text="hello", voice="male/de-DE"))
    changed = update(Media(id=made.id, tts=Tts(voice="male/fr-FR")), "tts.voice")
    assert (changed.tts.text, changed.tts.voice) == ("hello", "male/fr-FR")


def test_an_update_without_a_mask_replaces_the_document(create: Any, update: Any) -> None:
    made = create(description="gone", extra={"origin": "api"})
    changed = update(Media(id=made.id, name="new"))
    assert changed.name == "new"
    assert not changed.HasField("description")
    assert not changed.HasField("language")
    assert not changed.extra.fields


def test_a_document_that_is_read_and_written_back_stays_the_same(create: Any, update: Any) -> None:
    made = create(language="", description="d", extra={"n": 5, "deep": {"list": [1, 2.5]}})
    back = update(made)
    for saved in (made, back):
        saved.ClearField("revision")
        saved.ClearField("update_time")
    assert back == made


def test_an_unknown_mask_path_changes_nothing(create: Any, update: Any, get: Any) -> None:
    made = create()
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        update(Media(id=made.id, name="new"), "name", "colour")
    assert refusal.fields == ["update_mask"]
    assert get(made.id) == made


def test_a_prompt_can_not_become_another(create: Any, update: Any) -> None:
    made = create(prompt_id="vm", language="fr")
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        update(Media(id=made.id, prompt_id="other"), "prompt_id")
    assert refusal.fields == ["prompt_id"]


def test_a_change_or_deletion_can_ask_for_a_revision(
    create: Any, update: Any, stub: Any, tenant: Tenant
) -> None:
    made = create()
    changed = update(Media(id=made.id, name="new"), "name", if_revision=made.revision)
    with refused("FAILED_PRECONDITION", "PRECONDITION_FAILED"):
        update(Media(id=made.id, name="newer"), "name", if_revision=made.revision)
    delete = DeleteMediaRequest(
        account_id=tenant.account_id, media_id=made.id, if_revision=made.revision
    )
    with refused("FAILED_PRECONDITION", "PRECONDITION_FAILED"):
        stub.DeleteMedia(delete)
    delete.if_revision = changed.revision
    assert stub.DeleteMedia(delete).media == changed


@pytest.mark.parametrize("hard", [False, True])
def test_a_deleted_document_is_gone_and_only_a_hard_deletion_frees_its_id(
    create: Any, get: Any, stub: Any, tenant: Tenant, *, hard: bool
) -> None:
    made = create(id="x")
    request = DeleteMediaRequest(account_id=tenant.account_id, media_id="x", hard=hard)
    assert stub.DeleteMedia(request).media == made
    with refused("NOT_FOUND", "MEDIA_NOT_FOUND"):
        get("x")
    with refused("NOT_FOUND", "MEDIA_NOT_FOUND"):
        stub.DeleteMedia(request)
    if hard:
        create(id="x")
    else:
        with refused("ALREADY_EXISTS", "CONFLICT"):
            create(id="x")


def test_concurrent_edits_of_different_fields_all_survive(
    create: Any, get: Any, grpc_stub: Any, tenant: Tenant, grpc_server: ThreadedService
) -> None:
    made = create()
    calls = []
    for n in range(20):
        media = Media(id=made.id)
        media.extra.update({f"key{n}": n})
        request = UpdateMediaRequest(
            account_id=tenant.account_id,
            media=media,
            update_mask=FieldMask(paths=[f"extra.key{n}"]),
        )
        calls.append(grpc_stub.UpdateMedia.future(request, metadata=tenant.metadata))
    for call in calls:
        call.result(20)
    read = get(made.id)
    assert dict(read.extra) == {f"key{n}": n for n in range(20)}
    assert read.revision.startswith("21-")


def test_a_refusal_reaches_a_client_that_does_not_stop_sending(
    create: Any, grpc_stub: Any, tenant: Tenant
) -> None:
    create(id="m")

    def endless() -> Iterator[UploadContentRequest]:
        yield from upload_messages(tenant, "m", [PNG])[:2]
        while True:
            yield UploadContentRequest(data=bytes(1_000_000))

    with refused("INVALID_ARGUMENT", "NOT_AUDIO"):
        grpc_stub.UploadContent(endless(), metadata=tenant.metadata)


def test_a_purge_frees_the_ids_of_what_was_soft_deleted(
    create: Any, grpc_stub: Any, tenant: Tenant
) -> None:
    for media_id in ("deleted", "kept"):
        create(id=media_id)
    request = DeleteMediaRequest(account_id=tenant.account_id, media_id="deleted")
    grpc_stub.DeleteMedia(request, metadata=tenant.metadata)
    early = PurgeMediaRequest(account_id=tenant.account_id, deleted_until=Timestamp(seconds=1))
    assert grpc_stub.PurgeMedia(early, metadata=tenant.metadata).purged_count == 0
    now = Timestamp()
    now.GetCurrentTime()
    purge = PurgeMediaRequest(account_id=tenant.account_id, deleted_until=now)
    assert grpc_stub.PurgeMedia(purge, metadata=tenant.metadata).purged_count == 1
    create(id="deleted")
    with refused("ALREADY_EXISTS", "CONFLICT"):
        create(id="kept")
