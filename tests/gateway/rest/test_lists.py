"""kazoo-v2, section 6: lists, filters, paging, prompts, languages."""

from __future__ import annotations

import base64
import hashlib
import time
from urllib.parse import quote

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import ask, create, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_GREGORIAN = 62_167_219_200


@pytest.fixture(scope="module")
def shelf(rest: Rest) -> Tenant:
    """Return an account with media a, b, c, d and two prompts in two languages."""
    tenant = rest.new_tenant()
    create(rest, tenant, id="a", name="Anna", language="en-US", description="x", n=1)
    create(rest, tenant, id="b", name="Bert", language="de-de", ui_metadata={"ui": "monster"})
    create(rest, tenant, id="c", name="Carl", media_source="recording", n=0, flag=True)
    create(rest, tenant, id="d", name="[x", language="")
    for language in ("en-us", "fr-fr"):
        create(rest, tenant, prompt_id="vm-pass", language=language, name=language)
    create(rest, tenant, prompt_id="vm-other", language="fr-fr", name="other")
    upload(rest, tenant, "a", tone(0.1))
    return tenant


_PROMPTS = ["en-us%2Fvm-pass", "fr-fr%2Fvm-other", "fr-fr%2Fvm-pass"]
_ALL = ["a", "b", "c", "d", *_PROMPTS]


def test_rows_have_the_documented_keys(rest: Rest, shelf: Tenant) -> None:
    reply = ask(rest, shelf, "GET {M}")
    assert [row["id"] for row in reply.data] == _ALL
    assert reply.data[0] == {
        "id": "a",
        "name": "Anna",
        "media_source": "upload",
        "language": "en-us",
        "is_prompt": False,
        "content_type": "audio/x-wav",
    }
    assert reply.data[3] == {"id": "d", "name": "[x", "media_source": "upload", "is_prompt": False}
    assert reply.data[4]["is_prompt"] is True


def test_the_revision_is_the_digest_of_the_data(rest: Rest, shelf: Tenant) -> None:
    for path in ("", "?page_size=2", "/prompts", "/languages"):
        reply = ask(rest, shelf, f"GET {{M}}{path}")
        text = reply.body.partition(b'"data":')[2].partition(b',"timestamp"')[0]
        assert reply.json["revision"] == hashlib.md5(text).hexdigest()
        assert "etag" not in reply.headers
    for path in ("/prompts/vm-pass", "/languages/de-de", "?filter_name=nobody"):
        assert "revision" not in ask(rest, shelf, f"GET {{M}}{path}").json


def test_an_empty_list_is_an_empty_array(rest: Rest, tenant: Tenant) -> None:
    for path in ("", "/prompts", "/prompts/x", "/languages", "/languages/xx", "/languages/missing"):
        envelope = ask(rest, tenant, f"GET {{M}}{path}").json
        assert (envelope["data"], envelope["page_size"]) == ([], 0)
        assert "next_start_key" not in envelope


_FILTERS = {
    "filter_name=Anna": ["a"],
    "filter_name=anna": [],
    'filter_name=["Anna","Bert"]': ["a", "b"],
    "filter_name=%5Bx": ["d"],
    "filter_not_name=Anna&filter_media_source=upload&filter_not_name=Bert": ["d", *_PROMPTS],
    "filter_language=EN-us": ["a", "c", "en-us%2Fvm-pass"],
    "filter_language=en": [],
    "filter_not_language=fr-FR": ["a", "b", "c", "d", "en-us%2Fvm-pass"],
    "has_key=description": ["a"],
    "has_key=description&has_key=n": ["a"],
    "key_missing=n": ["b", "d", *_PROMPTS],
    "has_value=n": ["a"],
    "value_missing=n": ["b", "c", "d", *_PROMPTS],
    "missing_value=n": ["b", "c", "d", *_PROMPTS],
    "filter_n=1": ["a"],
    "filter_n=[0,1]": ["a", "c"],
    "filter_flag=true": ["c"],
    "filter_ui_metadata.ui=monster": ["b"],
    "has_key=ui_metadata.ui": ["b"],
    "filter_id=fr-fr%2Fvm-pass": ["fr-fr%2Fvm-pass"],
    "filter_id=fr-fr%252Fvm-pass": ["fr-fr%2Fvm-pass"],
    "filter_prompt_id=vm-pass&filter_language=fr-fr": ["fr-fr%2Fvm-pass"],
    "filter_description=": ["b", "c", "d", *_PROMPTS],
}


@pytest.mark.parametrize(("query", "ids"), _FILTERS.items(), ids=_FILTERS.keys())
def test_filters(rest: Rest, shelf: Tenant, query: str, ids: list[str]) -> None:
    escaped = query.replace('"', "%22")
    reply = ask(rest, shelf, f"GET {{M}}?{escaped}")
    assert [row["id"] for row in reply.data] == ids
    assert reply.json["page_size"] == len(ids)
    assert "next_start_key" not in reply.json


def test_times_are_gregorian_seconds_and_inclusive(rest: Rest, tenant: Tenant) -> None:
    create(rest, tenant, id="now")
    now = int(time.time()) + _GREGORIAN
    for key in ("created", "modified"):
        for query, count in (
            (f"{key}_from={now - 60}&{key}_to={now + 60}", 1),
            (f"{key}_from={now + 60}", 0),
            (f"{key}_to={now - 60}", 0),
            (f"{key}_to={now + 1}", 1),
        ):
            assert len(ask(rest, tenant, f"GET {{M}}?{query}").data) == count
    assert ask(rest, tenant, "GET {M}?created_from=yesterday").status == 400


def test_pages_join_to_the_list(rest: Rest, shelf: Tenant) -> None:
    for order, expected in (("", _ALL), ("&descending=true", _ALL[::-1])):
        seen: list[str] = []
        start = ""
        while True:
            envelope = ask(rest, shelf, f"GET {{M}}?page_size=2{order}{start}").json
            seen += [row["id"] for row in envelope["data"]]
            assert envelope["page_size"] == len(envelope["data"])
            assert ("start_key" in envelope) == bool(start)
            if "next_start_key" not in envelope:
                break
            start = f"&start_key={envelope['next_start_key']}"
        assert seen == expected


def test_pages_are_full_after_filtering(rest: Rest, shelf: Tenant) -> None:
    envelope = ask(rest, shelf, "GET {M}?page_size=2&filter_language=en-us").json
    assert [row["id"] for row in envelope["data"]] == ["a", "c"]
    assert envelope["next_start_key"] == "en-us%2Fvm-pass"


def _kazoo_key(key: bytes) -> str:
    term = b"\x83m" + len(key).to_bytes(4) + key
    return base64.urlsafe_b64encode(term).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("start", "first"),
    [
        ("c", "c"),
        ("bb", "c"),
        ("fr-fr%2F", "fr-fr%2Fvm-other"),
        ("fr-fr%252Fvm-pass", "fr-fr%2Fvm-pass"),
        (_kazoo_key(b"c"), "c"),
        (_kazoo_key(b"fr-fr/vm-pass"), "fr-fr%2Fvm-pass"),
    ],
)
def test_a_start_key_is_plain_or_kazoos(rest: Rest, shelf: Tenant, start: str, first: str) -> None:
    envelope = ask(rest, shelf, f"GET {{M}}?start_key={start}").json
    assert envelope["data"][0]["id"] == first
    assert envelope["start_key"] == start.replace("%2F", "/").replace("%252F", "%2F")


@pytest.mark.parametrize(
    ("path", "start", "data"),
    [
        ("prompts", b"vm-p", [{"vm-pass": 2}]),
        ("prompts/vm-pass", b"fr-fr/vm-pass", ["fr-fr%2Fvm-pass"]),
        ("prompts/vm%252Dpass", b"fr-fr/vm-pass", ["fr-fr%2Fvm-pass"]),
        ("languages/FR%252Dfr", b"fr-fr/vm-p", ["fr-fr%2Fvm-pass"]),
        ("languages/missing", b"e", []),
    ],
)
def test_every_list_takes_both_forms_of_a_start_key(
    rest: Rest, shelf: Tenant, path: str, start: bytes, data: list[object]
) -> None:
    for key in (_kazoo_key(start), quote(start, safe=""), quote(quote(start, safe=""))):
        assert ask(rest, shelf, f"GET {{M}}/{path}?start_key={key}").data == data


def test_any_page_size_is_good(rest: Rest, shelf: Tenant) -> None:
    rest.put_setting("crossbar", "pagination_page_size", 3)
    try:
        for size in ("7", "0007", "9999999999", "9" * 300):
            assert ask(rest, shelf, f"GET {{M}}?page_size={size}").json["page_size"] == 7
    finally:
        rest.put_setting("crossbar", "pagination_page_size", None)


@pytest.mark.parametrize("size", ["0", "-1", "x", "", "1.5"])
def test_a_bad_page_size_means_the_default(rest: Rest, shelf: Tenant, size: str) -> None:
    rest.put_setting("crossbar", "pagination_page_size", 3)
    try:
        assert ask(rest, shelf, f"GET {{M}}?page_size={size}").json["page_size"] == 3
    finally:
        rest.put_setting("crossbar", "pagination_page_size", None)


def test_a_list_without_paging_has_no_paging_keys(rest: Rest, shelf: Tenant) -> None:
    for path, count in (("", 7), ("/prompts", 1), ("/languages/fr-fr", 2), ("/prompts/vm-pass", 2)):
        query = "paginate=false&page_size=1&start_key=zzz"
        envelope = ask(rest, shelf, f"GET {{M}}{path}?{query}").json
        assert len(envelope["data"]) == count
        assert not {"page_size", "start_key", "next_start_key"} & set(envelope)


def test_a_long_list_passes_whole(rest: Rest, tenant: Tenant) -> None:
    async def fill() -> None:
        scope = await rest.core.accounts.write_scope(rest.admin_caller, tenant.id)
        for number in range(4000):
            media_id = f"{number:032d}"
            data = {"name": "x" * 128, "content_type": "audio/mp3", "prompt": number}
            await rest.core.library.create(scope, data, media_id)

    rest.run(fill())
    reply = ask(rest, tenant, "GET {M}?paginate=false")
    assert len(reply.body) > 1024**2
    assert [row["id"] for row in reply.data] == [f"{n:032d}" for n in range(4000)]
    text = reply.body.partition(b'"data":')[2].partition(b',"timestamp"')[0]
    assert reply.json["revision"] == hashlib.md5(text).hexdigest()
    page = ask(rest, tenant, "GET {M}?page_size=3999").json
    assert (page["page_size"], page["next_start_key"]) == (3999, f"{3999:032d}")
    assert ask(rest, tenant, "HEAD {M}?paginate=false").status == 200


def test_prompts_count_their_translations(rest: Rest, shelf: Tenant) -> None:
    envelope = ask(rest, shelf, "GET {M}/prompts").json
    assert (envelope["data"], envelope["page_size"]) == ([{"vm-other": 1, "vm-pass": 2}], 2)
    first = ask(rest, shelf, "GET {M}/prompts?page_size=1").json
    assert (first["data"], first["next_start_key"]) == ([{"vm-other": 1}], "vm-pass")
    second = ask(rest, shelf, "GET {M}/prompts?page_size=1&start_key=vm-pass").json
    assert (second["data"], second["start_key"]) == ([{"vm-pass": 2}], "vm-pass")
    assert "next_start_key" not in second


def test_the_translations_of_a_prompt_are_ids(rest: Rest, shelf: Tenant) -> None:
    envelope = ask(rest, shelf, "GET {M}/prompts/vm-pass").json
    assert envelope["data"] == ["en-us%2Fvm-pass", "fr-fr%2Fvm-pass"]
    assert (envelope["start_key"], envelope["page_size"]) == ("vm-pass", 2)
    page = ask(rest, shelf, "GET {M}/prompts/vm-pass?page_size=1&start_key=vm-pass").json
    assert page["data"] == ["en-us%2Fvm-pass"]
    rest_of_it = f"page_size=1&start_key={page['next_start_key']}"
    last = ask(rest, shelf, f"GET {{M}}/prompts/vm-pass?{rest_of_it}").json
    assert last["data"] == ["fr-fr%2Fvm-pass"]
    assert ask(rest, shelf, "GET {M}/prompts/VM-PASS").data == []


def test_languages_count_all_media(rest: Rest, shelf: Tenant) -> None:
    envelope = ask(rest, shelf, "GET {M}/languages").json
    assert envelope["data"] == [{"de-de": 1, "en-us": 3, "fr-fr": 2, "missing": 1}]


def test_the_media_of_a_language_are_ids(rest: Rest, shelf: Tenant) -> None:
    assert ask(rest, shelf, "GET {M}/languages/EN-us").data == ["a", "c", "en-us%2Fvm-pass"]
    assert ask(rest, shelf, "GET {M}/languages/missing").data == ["d"]
    page = ask(rest, shelf, "GET {M}/languages/en-us?page_size=2").json
    assert (page["data"], page["next_start_key"]) == (["a", "c"], "en-us%2Fvm-pass")
    start = page["next_start_key"]
    last = ask(rest, shelf, f"GET {{M}}/languages/en-us?page_size=2&start_key={start}").json
    assert last["data"] == ["en-us%2Fvm-pass"]


def test_the_system_scope_lists_its_own(rest: Rest, tenant: Tenant) -> None:
    create(rest, tenant, name="mine")
    body = {"data": {"name": "x", "prompt_id": "vm-system", "language": "xx-yy"}}
    created = ask(rest, rest.admin, "PUT /v2/media", body)
    assert created.headers["location"] == "/v2/media/xx-yy%2Fvm-system"
    assert ask(rest, tenant, "GET /v2/media").data[-1]["id"] == "xx-yy%2Fvm-system"
    assert ask(rest, tenant, "GET /v2/media/prompts").data[0]["vm-system"] == 1
    assert ask(rest, tenant, "GET /v2/media/prompts/vm-system").data == ["xx-yy%2Fvm-system"]
    assert ask(rest, tenant, "GET /v2/media/languages/xx-yy").data == ["xx-yy%2Fvm-system"]
    assert ask(rest, rest.admin, "DELETE /v2/media/xx-yy%2Fvm-system").status == 200
