"""kazoo-v2, sections 5 and 6: languages, documents without one, prompts, the system scope."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kazoo_media.model import SYSTEM_ACCOUNT_ID, Media, first_revision
from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_WAV = tone(0.1)


def _import(rest: Rest, account_id: str, media_id: str, **document: object) -> None:
    """Put a document into the store as older software left it."""
    media = Media(account_id, media_id, document, first_revision(), 1000, 1000)
    rest.run(rest.metadata.insert_media(media))


@pytest.fixture(scope="module", params=["account", "system"])
def scope(rest: Rest, request: pytest.FixtureRequest) -> Iterator[tuple[Tenant, str]]:
    """Return who asks and the path of a scope with media in several languages and without."""
    who = rest.new_tenant() if request.param == "account" else rest.admin
    path, account_id = who.media, who.id
    if request.param == "system":
        path, account_id = "/v2/media", SYSTEM_ACCOUNT_ID
    _import(rest, account_id, "imported", name="imported")
    _import(rest, account_id, "vm-bare", name="vm-bare", prompt_id="vm-bare")
    documents: list[dict[str, str | None]] = [
        {"id": "empty", "language": ""},
        {"id": "null", "language": None},
        {"id": "patched", "language": "de-DE"},
        {"id": "emptied", "language": "de-DE"},
        {"id": "mixed", "language": "EN-us"},
        {"id": "turkish", "language": "ĞÜ-x"},
        {"id": "short", "language": "en"},
        {"prompt_id": "vm-x", "language": "EN-US"},
        {"prompt_id": "vm-y", "language": ""},
    ]
    for data in documents:
        assert ask(rest, who, f"PUT {path}", {"data": {"name": "x", **data}}).status == 201
    for media_id, language in (("patched", None), ("emptied", "")):
        changes = {"data": {"language": language}}
        assert ask(rest, who, f"PATCH {path}/{media_id}", changes).status == 200
    yield who, path
    for media_id in [*_MISSING, "mixed", "turkish", "short", "en-us%2Fvm-x"]:
        assert ask(rest, who, f"DELETE {path}/{media_id}?hard_delete=true").status == 200


_MISSING = ["emptied", "empty", "imported", "null", "patched", "vm-bare", "vm-y"]


def test_media_without_a_language_are_counted_as_missing(
    rest: Rest, scope: tuple[Tenant, str]
) -> None:
    who, path = scope
    assert ask(rest, who, f"GET {path}/languages").data == [
        {"en": 1, "en-us": 2, "missing": 7, "ğü-x": 1}
    ]


def test_a_language_is_asked_for_in_any_case(rest: Rest, scope: tuple[Tenant, str]) -> None:
    who, path = scope
    for language, ids in (
        ("missing", _MISSING),
        ("en-us", ["en-us%2Fvm-x", "mixed"]),
        ("EN-US", ["en-us%2Fvm-x", "mixed"]),
        ("en", ["short"]),
        ("de-de", []),
        ("%C4%9E%C3%BC-X", ["turkish"]),
        ("Missing", []),
        ("none", []),
    ):
        assert ask(rest, who, f"GET {path}/languages/{language}").data == ids, language


def test_pages_of_missing_join(rest: Rest, scope: tuple[Tenant, str]) -> None:
    who, path = scope
    seen, start = [], ""
    while True:
        envelope = ask(rest, who, f"GET {path}/languages/missing?page_size=3{start}").json
        seen += envelope["data"]
        if "next_start_key" not in envelope:
            break
        start = f"&start_key={envelope['next_start_key']}"
    assert seen == _MISSING


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("filter_language=", _MISSING),
        ("filter_language=EN-US", ["en-us%2Fvm-x", "mixed"]),
        ('filter_language=["en","%C4%9F%C3%9C-X"]', ["short", "turkish"]),
        ("filter_not_language=", ["en-us%2Fvm-x", "mixed", "short", "turkish"]),
        ("has_value=language", ["en-us%2Fvm-x", "mixed", "short", "turkish"]),
        ("value_missing=language", _MISSING),
        ("missing_value=language&has_key=prompt_id", ["vm-bare", "vm-y"]),
    ],
)
def test_filters_see_what_is_missing(
    rest: Rest, scope: tuple[Tenant, str], query: str, ids: list[str]
) -> None:
    who, path = scope
    rows = ask(rest, who, f"GET {path}?{query}".replace('"', "%22")).data
    assert [row["id"] for row in rows] == ids


def test_rows_have_no_language_where_there_is_none(rest: Rest, scope: tuple[Tenant, str]) -> None:
    who, path = scope
    rows = {row["id"]: row for row in ask(rest, who, f"GET {path}").data}
    assert all("language" not in rows[media_id] for media_id in _MISSING)
    assert rows["mixed"]["language"] == "en-us"
    assert rows["imported"] == {"id": "imported", "name": "imported", "is_prompt": False}
    assert rows["vm-bare"]["is_prompt"] is True


def test_a_removed_language_stays_removed(rest: Rest, scope: tuple[Tenant, str]) -> None:
    who, path = scope
    changed = ask(rest, who, f"PATCH {path}/patched", {"data": {"description": "new"}})
    assert "language" not in changed.data
    read = ask(rest, who, f"GET {path}/imported")
    assert read.data == {"id": "imported", "name": "imported"}


def test_prompts_without_a_language_are_prompts(rest: Rest, scope: tuple[Tenant, str]) -> None:
    who, path = scope
    assert ask(rest, who, f"GET {path}/prompts").data == [{"vm-bare": 1, "vm-x": 1, "vm-y": 1}]
    assert ask(rest, who, f"GET {path}/prompts/vm-y").data == ["vm-y"]


def test_a_replaced_document_has_the_default_language_again(rest: Rest, tenant: Tenant) -> None:
    create(rest, tenant, id="a", language="")
    rest.put_setting("media", "default_language", "pl-pl")
    try:
        replaced = ask(rest, tenant, "POST {M}/a", {"data": {"name": "x"}})
        created = ask(rest, tenant, "PUT {M}", {"data": {"name": "x", "prompt_id": "vm-p"}})
    finally:
        rest.put_setting("media", "default_language", None)
    assert (replaced.data["language"], created.data["language"]) == ("pl-pl", "pl-pl")
    assert created.data["id"] == "pl-pl%2Fvm-p"


def test_a_prompt_keeps_its_language(rest: Rest, tenant: Tenant) -> None:
    create(rest, tenant, prompt_id="vm-x", language="fr-fr")
    for language in (None, "", "de-de"):
        reply = ask(rest, tenant, "PATCH {M}/fr-fr%2Fvm-x", {"data": {"language": language}})
        assert (reply.status, list(reply.data)) == (400, ["prompt_id"])
    same = ask(rest, tenant, "PATCH {M}/fr-fr%2Fvm-x", {"data": {"language": "FR-FR"}})
    assert same.data == has(language="fr-fr", id="fr-fr%2Fvm-x")


def test_the_system_scope_does_all_that_an_account_does(rest: Rest, tenant: Tenant) -> None:
    admin, path = rest.admin, "/v2/media/xx-xx%2Fvm-all"
    data = {"name": "x", "prompt_id": "vm-all", "language": "xx-XX"}
    created = ask(rest, admin, "PUT /v1/media/", {"data": data})
    assert (created.status, created.headers["location"]) == (201, path)
    assert ask(rest, admin, "PUT /v2/media", {"data": data}).status == 409
    uploaded = ask(rest, admin, f"POST {path}", _WAV, {"content-type": "audio/wav"})
    assert (uploaded.status, uploaded.data["content_length"]) == (200, len(_WAV))
    assert ask(rest, admin, f"POST {path}/raw", _WAV, {"content-type": "audio/wav"}).status == 200
    changed = ask(rest, admin, f"POST {path}", {"data": {**data, "name": "y"}})
    assert (changed.status, changed.data["name"]) == (200, "y")
    assert ask(rest, admin, f"PATCH {path}", {"data": {"name": "z"}}).status == 200
    for who in (admin, tenant):
        assert ask(rest, who, f"GET {path}").data["name"] == "z"
        assert ask(rest, who, f"GET {path}/raw.wav").body == _WAV
        assert ask(rest, who, f"HEAD {path}/raw").headers["content-length"] == str(len(_WAV))
        assert ask(rest, who, "GET /v2/media/prompts/vm-all").data == ["xx-xx%2Fvm-all"]
        assert ask(rest, who, "GET /v2/media/languages/XX-xx").data == ["xx-xx%2Fvm-all"]
        assert ask(rest, who, "GET /v2/media?filter_prompt_id=vm-all").json["page_size"] == 1
        assert ask(rest, who, "GET {M}").data == []
    assert ask(rest, admin, f"POST {path}?verb=DELETE").status == 200
    assert ask(rest, admin, f"GET {path}").status == 404


@table(
    [
        Case(request, 403, body, headers, message="forbidden", data={"message": "forbidden"})
        for request, body, headers in (
            ("PUT /v2/media", {"data": {"name": "x"}}, {}),
            ("PUT /v2/media", b"", {}),
            ("POST /v2/media?verb=PUT", {"data": {"name": "x"}}, {}),
            ("POST /v2/media/x", {"data": {"name": "x"}}, {}),
            ("POST /v2/media/x", b"x", {"content-type": "audio/mp3"}),
            ("POST /v2/media/x/raw", b"x", {"content-type": "audio/mp3"}),
            ("POST /v2/media/x/raw", b"x", {"content-type": "application/base64"}),
            ("PATCH /v2/media/x", {"data": {}}, {}),
            ("DELETE /v2/media/x", None, {}),
            ("DELETE /v2/media/x?hard_delete=true", None, {}),
        )
    ]
)
def test_only_admins_change_the_system_scope(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)
