"""Lists under /v1: what Kazoo's classic UI asks for and reads."""

from __future__ import annotations

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_PAGING_KEYS = {"page_size", "start_key", "next_start_key"}
_ROWS = [
    {"id": "de-de%2Fvm-pass", "has_attachments": False},
    {"id": "en-us%2Fvm-pass", "has_attachments": True},
    {"id": "fr-fr%2Fvm-pass", "has_attachments": False},
]


@pytest.fixture
def shelf(rest: Rest, tenant: Tenant) -> Tenant:
    """Return an account with 65 media, three of them translations of a prompt, one with audio."""
    for number in range(62):
        create(rest, tenant, id=f"m{number:02d}")
    for language in ("de-de", "en-us", "fr-fr"):
        create(rest, tenant, prompt_id="vm-pass", language=language)
    upload(rest, tenant, "en-us%2Fvm-pass", tone(0.1))
    return tenant


@pytest.mark.parametrize(
    "query", ["", "?page_size=7", "?page_size=7&start_key=m10", "?paginate=true", "?_=17"]
)
def test_a_list_is_not_paged(rest: Rest, shelf: Tenant, query: str) -> None:
    for path, count in (
        ("", 65),
        ("/prompts/vm-pass", 3),
        ("/languages/en-us", 63),
    ):
        reply = ask(rest, shelf, f"GET /v1/accounts/{{A}}/media{path}{query}").json
        assert len(reply["data"]) == count
        assert not _PAGING_KEYS & reply.keys()
    counts = ask(rest, shelf, f"GET /v1/accounts/{{A}}/media/languages{query}").json
    assert counts["data"] == [{"de-de": 1, "en-us": 63, "fr-fr": 1}]
    assert not _PAGING_KEYS & counts.keys()


def test_v2_stays_paged(rest: Rest, shelf: Tenant) -> None:
    reply = ask(rest, shelf, "GET {M}").json
    assert (len(reply["data"]), reply["page_size"]) == (50, 50)
    assert "next_start_key" in reply


def test_filters_and_order_count(rest: Rest, shelf: Tenant) -> None:
    path = "GET /v1/accounts/{A}/media?has_key=prompt_id&descending=true&page_size=1"
    rows = ask(rest, shelf, path).data
    assert [row["id"] for row in rows] == [row["id"] for row in reversed(_ROWS)]


@table(
    [
        Case("GET /v1/accounts/{A}/media/prompts/vm-pass", 200, data=_ROWS),
        Case("GET /v1/accounts/{A}/media/prompts/vm-pass/", 200, data=_ROWS, of_gateway=True),
        Case("GET /v1//accounts/{A}/media/prompts/vm-pass", 200, data=_ROWS, of_gateway=True),
        Case("GET /v1/accounts/{A}/media/prompts/nothing", 200, data=[]),
        Case("GET {M}/prompts/vm-pass", 200, data=[row["id"] for row in _ROWS]),
        Case("GET /v1/accounts/{A}/media/prompts", 200, data=[{"vm-pass": 3}]),
        Case("GET /v1/accounts/{A}/media/en-us%2Fvm-pass", 200, data=has(prompt_id="vm-pass")),
    ]
)
def test_a_prompt_has_objects_in_v1_only(rest: Rest, shelf: Tenant, case: Case) -> None:
    case.run(rest, shelf)


def test_a_prompt_as_csv(rest: Rest, shelf: Tenant) -> None:
    path = "GET /v1/accounts/{A}/media/prompts/vm-pass?accept=csv"
    assert ask(rest, shelf, path).body.decode().splitlines()[:2] == [
        "id,has_attachments",
        "de-de%2Fvm-pass,false",
    ]
