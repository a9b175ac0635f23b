"""kazoo-v2, section 5: create, update, patch, delete."""

from __future__ import annotations

import re

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_DEFAULTS = {
    "language": "en-us",
    "media_source": "upload",
    "streamable": True,
    "tts": {"voice": "female/en-US"},
}


def test_a_file_needs_a_name_only(rest: Rest, tenant: Tenant) -> None:
    reply = ask(rest, tenant, "PUT {M}", {"data": {"name": "File", "description": "My"}})
    media_id = reply.data["id"]
    assert reply.status == 201
    assert re.fullmatch(r"[0-9a-f]{32}", media_id)
    assert reply.data == {"id": media_id, "name": "File", "description": "My", **_DEFAULTS}
    assert reply.headers["location"] == f"{tenant.media}/{media_id}"
    assert ask(rest, tenant, f"GET {reply.headers['location']}").data == reply.data


def test_a_prompt_is_named_by_its_language_and_prompt_id(rest: Rest, tenant: Tenant) -> None:
    data = {"name": "FR-vm-enter_pass", "prompt_id": "vm-enter_pass", "language": "FR-fr"}
    reply = ask(rest, tenant, "PUT {M}", {"data": data})
    assert reply.data == has(id="fr-fr%2Fvm-enter_pass", language="fr-fr")
    assert reply.headers["location"] == f"{tenant.media}/fr-fr%2Fvm-enter_pass"
    again = ask(rest, tenant, "PUT {M}", {"data": data})
    assert (again.status, again.json["message"]) == (409, "datastore_conflict")
    assert again.data == {"message": "conflicting documents"}


def test_a_document_of_nearly_five_mebibytes_is_stored_and_answered(
    rest: Rest, tenant: Tenant
) -> None:
    note = "0123456789" * 500_000
    created = ask(rest, tenant, "PUT {M}", {"data": {"name": "Long", "note": note}})
    assert (created.status, created.data["note"] == note) == (201, True)
    item = f"{{M}}/{created.data['id']}"
    patched = ask(rest, tenant, f"PATCH {item}", {"data": {"name": "Longer"}})
    assert (patched.status, patched.data["note"] == note) == (200, True)
    assert ask(rest, tenant, f"GET {item}").data == patched.data


def test_a_chosen_id_is_taken_once(rest: Rest, tenant: Tenant) -> None:
    assert create(rest, tenant, id="my-id") == "my-id"
    assert ask(rest, tenant, "PUT {M}", {"data": {"name": "x", "id": "my-id"}}).status == 409
    ask(rest, tenant, "DELETE {M}/my-id")
    assert ask(rest, tenant, "PUT {M}", {"data": {"name": "x", "id": "my-id"}}).status == 409


def _wrong(code: str, message: str, **extra: object) -> dict[str, object]:
    return {code: {"message": message, **extra}}


_SOURCES = ["recording", "upload", "tts"]
_ENUM = "Value not found in enumerated list of values"
_LONG = "x" * 129


@table(
    [
        Case(
            "PUT {M}",
            400,
            {"data": {"media_source": "x"}},
            data={
                "name": _wrong("required", "Field is required but missing", value="name"),
                "media_source": _wrong("enum", _ENUM, target=_SOURCES, value="x"),
            },
        ),
        Case(
            "PUT {M}",
            400,
            {"data": {"name": ""}},
            data={
                "name": _wrong(
                    "minLength",
                    "String must be at least 1 characters",
                    target=1,
                    cause="",
                    value="",
                )
            },
        ),
        Case(
            "PUT {M}",
            400,
            {"data": {"name": _LONG}},
            data={
                "name": _wrong(
                    "maxLength",
                    "String must not be more than 128 characters",
                    target=128,
                    cause=_LONG,
                    value=_LONG,
                )
            },
        ),
        Case("PUT {M}", 201, {"data": {"name": "ż" * 128}}),
        Case(
            "PUT {M}",
            400,
            {"data": {"name": "x", "language": _LONG}},
            data=has(language=has(maxLength=has(target=128))),
        ),
        Case("PUT {M}", 201, {"data": {"name": "x", "streamable": "false"}}),
        Case(
            "PUT {M}",
            400,
            {"data": {"name": "x", "streamable": "yes"}},
            data={
                "streamable": _wrong(
                    "type",
                    "Value did not match type(s): boolean",
                    target="boolean",
                    value="yes",
                )
            },
        ),
        Case("PUT {M}", 400, {"data": {"name": "x", "content_length": 0}}, data=has()),
        Case("PUT {M}", 400, {"data": {"name": "x", "source_id": "short"}}, data=has()),
        Case(
            "PUT {M}",
            400,
            {"data": {"name": "x", "tts": {"voice": "x"}}},
            data={"tts.voice": has(enum=has(value="x"))},
        ),
        Case("PUT {M}", 400, {"data": {"name": "x", "id": 7}}, data=has(id=has(type=has()))),
        Case("PUT {M}", 400, {"data": {"name": "x", "id": "prompts"}}, data=has(id=has())),
        Case("PUT {M}", 400, {"data": {"name": "x", "id": "tts"}}, data=has(id=has())),
        Case("PUT {M}", 400, {"data": {"name": "x", "id": "a%252541"}}, data=has(id=has())),
    ]
)
def test_all_violations_are_reported_at_once(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


@table(
    [
        Case("PUT {M}", 201, {"data": {"name": "x", **sent}}, data=has(**stored))
        for sent, stored in (
            ({"streamable": "false"}, {"streamable": False}),
            ({"streamable": "true"}, {"streamable": True}),
            ({"content_length": "5"}, {"content_length": 5}),
            ({"tts": {"voice": "MALE/EN-gb"}}, {"tts": {"voice": "MALE/EN-gb"}}),
            ({"tts": {}}, {"tts": {"voice": "female/en-US"}}),
            ({"tts": {"more": 1}}, {"tts": {"more": 1, "voice": "female/en-US"}}),
            ({"language": "EN-us"}, {"language": "EN-us"}),
            ({"source_id": "0" * 32, "source_type": "x"}, {"source_id": "0" * 32}),
            (
                {"id": "mine", "prompt_id": "vm-x", "language": "FR"},
                {"id": "fr%2Fvm-x", "language": "fr"},
            ),
            ({"id": "fr%2Fvm-x"}, {"id": "fr/vm-x"}),
            ({"id": "fr%252Fvm-x"}, {"id": "fr/vm-x"}),
            ({"prompt_id": ""}, {"prompt_id": ""}),
        )
    ]
)
def test_what_is_stored_of_what_was_sent(rest: Rest, tenant: Tenant, case: Case) -> None:
    created = case.run(rest, tenant)
    assert ask(rest, tenant, f"GET {created.headers['location']}").data == created.data


def test_speech_has_its_audio_when_it_is_created(rest: Rest, tenant: Tenant) -> None:
    data = {"name": "TTS", "media_source": "tts", "tts": {"text": "Hello"}}
    made = ask(rest, tenant, "PUT {M}", {"data": data})
    assert (made.status, made.data["tts"]["voice"]) == (201, "female/en-US")
    audio = ask(rest, tenant, f"GET {{M}}/{made.data['id']}/raw")
    assert audio.headers["content-type"] == made.data["content_type"]
    assert len(audio.body) == made.data["content_length"]
    changes = {"data": {"tts": {"text": "Hello, how are you?"}}}
    patched = ask(rest, tenant, f"PATCH {{M}}/{made.data['id']}", changes)
    assert patched.data["content_length"] > made.data["content_length"]


def test_speech_that_fails_says_why_and_leaves_no_trace(rest: Rest, tenant: Tenant) -> None:
    tts = {"text": "日本", "voice": "female/ja-JP"}
    data = {"name": "TTS", "media_source": "tts", "tts": tts}
    reply = ask(rest, tenant, "PUT {M}", {"data": data})
    assert (reply.status, reply.json["error"], reply.data) == (500, "500", {})
    assert reply.json["message"].startswith("espeak cannot read the kanji")
    assert ask(rest, tenant, "GET {M}").data == []
    data["tts"] = {"voice": "female/ja-JP"}
    reply = ask(rest, tenant, "PUT {M}", {"data": data})
    assert (reply.status, list(reply.data["tts.text"])) == (400, ["required"])


def test_an_update_replaces_all_public_keys(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant, description="old", ui_metadata={"ui": "monster-ui"})
    upload(rest, tenant, media_id, tone(0.1))
    before = ask(rest, tenant, f"GET {{M}}/{media_id}")
    expected = {**before.data, "name": "new"}
    del expected["description"]
    body = {"auth_token": "", "data": {**expected, "id": "other"}}
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}", body)
    assert (reply.status, reply.data) == (200, expected)
    assert int(reply.json["revision"].partition("-")[0]) == 3
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body == tone(0.1)


def test_a_patch_merges_deeply_and_null_removes(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant, description="old", ui_metadata={"a": 1, "b": {"c": 2}})
    changes = {"description": None, "ui_metadata": {"b": {"d": 3}}}
    reply = ask(rest, tenant, f"PATCH {{M}}/{media_id}", {"data": changes})
    assert reply.data["ui_metadata"] == {"a": 1, "b": {"c": 2, "d": 3}}
    assert "description" not in reply.data
    assert reply.data["name"] == "File"


@table(
    [
        Case("PATCH {M}/a", 400, {"data": {"name": None}}, data=has(name=has(required=has()))),
        Case("PATCH {M}/a", 400, {"data": {"name": ""}}, data=has(name=has(minLength=has()))),
        Case("PATCH {M}/a", 200, {"data": {"media_source": None}}, data=has(media_source="upload")),
        Case("PATCH {M}/a", 200, {"data": {"tts": None}}, data=has(tts=has(voice="female/en-US"))),
        Case("PATCH {M}/a", 200, {"data": {"streamable": None}}, data=has(streamable=True)),
        Case("PATCH {M}/a", 200, {"data": {"ui": {"a": [1, {"b": None}]}}}, data=has(ui=has())),
        Case("PATCH {M}/a", 200, {"data": {}}, data=has(name="File", description="old")),
        Case("PATCH {M}/a", 200, b"", data=has(name="File", description="old")),
        Case("PATCH {M}/a", 200, {"data": {"id": "b", "_x": 1}}, data=has(id="a")),
        Case("PATCH {M}/a", 400, {"data": {"prompt_id": "vm-x"}}, data=has(prompt_id=has())),
    ]
)
def test_a_patched_document_follows_the_rules(rest: Rest, tenant: Tenant, case: Case) -> None:
    create(rest, tenant, id="a", description="old", streamable=False, tts={"voice": "male/en-GB"})
    case.run(rest, tenant)


def test_a_prompt_stays_the_prompt_it_is(rest: Rest, tenant: Tenant) -> None:
    create(rest, tenant, prompt_id="vm-x", language="fr-fr")
    body = {"data": {"name": "x", "prompt_id": "vm-x", "language": "de-de"}}
    reply = ask(rest, tenant, "POST {M}/fr-fr%2Fvm-x", body)
    text = "Changing the prompt_id on an existing prompt is not allowed"
    assert reply.status == 400
    assert reply.data == {"prompt_id": {"invalid": {"message": text, "cause": "vm-x"}}}


def test_a_deleted_media_is_gone_and_says_what_it_was(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, tone(0.1))
    before = ask(rest, tenant, f"GET {{M}}/{media_id}").json
    reply = ask(rest, tenant, f"DELETE {{M}}/{media_id}")
    assert reply.status == 200
    assert reply.data == {**before["data"], "_read_only": {"deleted": True}}
    assert reply.json["revision"] == before["revision"]
    for request in ("GET {M}/%s", "GET {M}/%s/raw", "DELETE {M}/%s", "PATCH {M}/%s"):
        gone = ask(rest, tenant, request % media_id)
        assert (gone.status, gone.data["cause"]) == (404, media_id)
    assert ask(rest, tenant, "GET {M}").data == []


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("", None, 409),
        ("", {"data": {"hard_delete": False}}, 409),
        ("", {"data": {"hard_delete": True}}, 201),
        ("", {"data": {"hard_delete": "true"}}, 201),
        ("?hard_delete=true", None, 201),
        ("?hard_delete=false", None, 409),
    ],
)
def test_a_hard_delete_frees_the_id(
    rest: Rest, tenant: Tenant, query: str, body: dict[str, object] | None, status: int
) -> None:
    create(rest, tenant, id="mine")
    assert ask(rest, tenant, f"DELETE {{M}}/mine{query}", body).status == 200
    again = ask(rest, tenant, "PUT {M}", {"data": {"name": "x", "id": "mine"}})
    assert again.status == status


def test_a_prompt_is_always_deleted_for_good(rest: Rest, tenant: Tenant) -> None:
    for _ in range(2):
        create(rest, tenant, prompt_id="vm-x", language="fr-fr")
        assert ask(rest, tenant, "DELETE {M}/fr-fr%2Fvm-x").status == 200


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_document_of_a_foreign_type_is_refused(rest: Rest, tenant: Tenant, method: str) -> None:
    media_id = create(rest, tenant)
    headers = {"content-type": "application/pdf"}
    reply = ask(rest, tenant, f"{method} {{M}}/{media_id}", b"%PDF-1.7", headers)
    assert (reply.status, reply.json["message"]) == (415, "invalid_media_type")
    assert "audio/mp3" in reply.data["target"]
