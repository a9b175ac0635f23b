"""kazoo-v2, sections 1 and 6: lists as CSV, and JSON as people read it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, table, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway


@pytest.fixture(scope="module")
def shelf(rest: Rest) -> Tenant:
    """Return an account with three media, of which `c` is a prompt."""
    tenant = rest.new_tenant()
    create(rest, tenant, id="a", name='Say "hi", Żuk\n', language="")
    create(rest, tenant, id="b", name="=1+1", language="de-de", media_source="recording")
    create(rest, tenant, prompt_id="vm,x", language="en-us", name="Prompt")
    upload(rest, tenant, "b", tone(0.1))
    return tenant


_HEAD = "id,name,media_source,language,is_prompt,content_type\r\n"
_A = 'a,"Say ""hi"", Żuk\n",upload,,false,\r\n'
_B = "b,'=1+1,recording,de-de,false,audio/x-wav\r\n"
_C = '"en-us%2Fvm,x",Prompt,upload,en-us,true,\r\n'


@pytest.mark.parametrize(
    ("path", "accept", "text"),
    [
        ("", "text/csv", _HEAD + _A + _B + _C),
        ("", "text/comma-separated-values", _HEAD + _A + _B + _C),
        ("", "text/*", _HEAD + _A + _B + _C),
        ("", "text/csv, */*;q=0.8", _HEAD + _A + _B + _C),
        ("", "application/json;q=0.5, text/csv", _HEAD + _A + _B + _C),
        ("/?accept=csv", "", _HEAD + _A + _B + _C),
        ("?accept=text/csv", "application/json", _HEAD + _A + _B + _C),
        ("?accept=csv&page_size=1&start_key=b", "", _HEAD + _B),
        ("?accept=csv&filter_name=nobody", "", _HEAD),
        ("?accept=csv&paginate=false&descending=true", "", _HEAD + _C + _B + _A),
        ("/prompts?accept=csv", "", 'prompt_id,count\r\n"vm,x",1\r\n'),
        ("/prompts/vm,x?accept=csv", "", 'id\r\n"en-us%2Fvm,x"\r\n'),
        ("/languages?accept=csv", "", "language,count\r\nde-de,1\r\nen-us,1\r\nmissing,1\r\n"),
        ("/languages/missing?accept=csv", "", "id\r\na\r\n"),
        ("/languages/xx?accept=csv", "", "id\r\n"),
    ],
)
def test_a_list_as_csv(rest: Rest, shelf: Tenant, path: str, accept: str, text: str) -> None:
    headers = {"accept": accept} if accept else {}
    reply = ask(rest, shelf, f"GET {{M}}{path}", None, headers)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/csv")
    assert reply.body.decode() == text
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert reply.headers["content-disposition"] == 'attachment; filename="list.csv"'
    head = ask(rest, shelf, f"HEAD {{M}}{path}", None, headers)
    assert (head.status, head.headers["content-type"], head.body) == (200, "text/csv", b"")


@table(
    [
        Case(
            f"GET {path}",
            200,
            headers={"accept": accept} if accept else {},
            answer={"content-type": "application/json", "content-disposition": None},
        )
        for path, accept in (
            ("{M}", "*/*"),
            ("{M}", "text/html, */*;q=0.1"),
            ("{M}", "application/json, text/csv"),
            ("{M}", "text/csv;q=0.9, application/json"),
            ("{M}", "text/csv;q=0, */*"),
            ("{M}?accept=json", "text/csv"),
            ("{M}?accept=application/json", "text/csv"),
            ("{M}/a?accept=application/x-json", "text/csv"),
        )
    ]
)
def test_json_is_the_default(rest: Rest, shelf: Tenant, case: Case) -> None:
    case.run(rest, shelf)


@table(
    [
        Case("GET {M}/a?accept=csv", 406, message="not_acceptable"),
        Case("GET {M}?accept=pdf", 406, message="not_acceptable"),
        Case("GET {M}?accept=csv", 401, token=False, message="invalid_credentials"),
        Case("GET {M}/none?accept=csv", 406, message="not_acceptable"),
        Case("GET {M}?accept=csv&created_from=x", 400, message="validation error"),
        Case("PUT {M}?accept=csv", 406, {"data": {"name": "x"}}),
    ]
)
def test_errors_are_json_whatever_is_accepted(rest: Rest, shelf: Tenant, case: Case) -> None:
    reply = case.run(rest, shelf)
    assert reply.headers["content-type"] == "application/json"


def test_a_csv_list_may_be_named(rest: Rest, shelf: Tenant) -> None:
    for name, shown in (("all.csv", "all.csv"), ("all", "all.csv"), ("a%22%0Ab", "a__b.csv")):
        reply = ask(rest, shelf, f"GET {{M}}?accept=csv&filename={name}")
        assert reply.headers["content-disposition"] == f'attachment; filename="{shown}"'


@pytest.mark.parametrize("path", ["{M}?paginate=false", "{M}?accept=csv", "/v2/openapi.json"])
def test_what_is_long_and_has_no_tag_is_compressed_when_asked_for(
    rest: Rest, tenant: Tenant, path: str
) -> None:
    for number in range(20):
        create(rest, tenant, name="x" * 128, number=number)
    plain = ask(rest, tenant, f"GET {path}", headers={"x-request-id": "same"})
    packed = ask(
        rest, tenant, f"GET {path}", None, {"accept-encoding": "gzip", "x-request-id": "same"}
    )
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-type"] == plain.headers["content-type"]
    text = re.compile(rb'"timestamp":"[^"]*"')
    assert text.sub(b"", gzip.decompress(packed.body)) == text.sub(b"", plain.body)


def test_what_has_a_tag_is_not_compressed(rest: Rest, tenant: Tenant) -> None:
    create(rest, tenant, id="a", text="x" * 5000)
    upload(rest, tenant, "a", tone(0.5))
    for path in ("{M}/a", "{M}/a/raw"):
        reply = ask(rest, tenant, f"GET {path}", None, {"accept-encoding": "gzip, br, deflate"})
        assert "content-encoding" not in reply.headers
        assert reply.headers["content-length"] == str(len(reply.body))


def test_csv_reads_back_as_the_rows(rest: Rest, shelf: Tenant) -> None:
    rows = list(csv.DictReader(io.StringIO(ask(rest, shelf, "GET {M}?accept=csv").body.decode())))
    listed = ask(rest, shelf, "GET {M}").data
    names = [row["name"] for row in listed]
    assert "=1+1" in names
    assert [row["name"] for row in rows] == ["'=1+1" if each == "=1+1" else each for each in names]
    assert [row["id"] for row in rows] == [row["id"] for row in listed]


_LISTS = ("", "?page_size=2", "/prompts", "/languages", "/prompts/vm,x", "?filter_name=nobody")


@pytest.mark.parametrize("path", [*_LISTS, "/a", "/none", "/languages/xx"])
def test_pretty_json_says_the_same(rest: Rest, shelf: Tenant, path: str) -> None:
    headers = {"x-request-id": "same"}
    plain = ask(rest, shelf, f"GET {{M}}{path}", None, headers)
    sign = "&" if "?" in path else "?"
    for asked, more in (
        (f"{path}{sign}pretty_print=true", {}),
        (path, {"x-pretty-print": "true"}),
        (f"{path}{sign}pretty_print=TRUE", {"x-pretty-print": "false"}),
    ):
        reply = ask(rest, shelf, f"GET {{M}}{asked}", None, {**headers, **more})
        assert reply.status == plain.status
        again = json.dumps(reply.json, indent=2, ensure_ascii=False)
        assert reply.body.decode() == again.replace("[\n  ]", "[]")
        same = {**plain.json, "timestamp": "", "revision": ""}
        assert {**reply.json, "timestamp": "", "revision": ""} == same


@pytest.mark.parametrize("path", ["", "/prompts"])
def test_the_revision_of_a_pretty_list_is_the_digest_of_its_data(
    rest: Rest, shelf: Tenant, path: str
) -> None:
    reply = ask(rest, shelf, f"GET {{M}}{path}?pretty_print=true")
    text = reply.body.partition(b'"data": ')[2].partition(b',\n  "timestamp"')[0]
    assert reply.json["revision"] == hashlib.md5(text).hexdigest()


@table(
    [
        Case("PUT {M}?pretty_print=true", 201, {"data": {"name": "x"}}),
        Case("PUT {M}", 201, {"data": {"name": "x"}, "pretty_print": True}),
        Case("PUT {M}", 201, {"data": {"name": "x"}, "pretty_print": "true"}),
        Case("PUT {M}", 201, {"data": {"name": "x"}, "Pretty-Print": "true"}),
        Case("PUT {M}", 201, {"data": {"name": "x"}}, {"x-pretty-print": "true"}),
        Case("PUT {M}", 400, {"data": {}, "pretty_print": True}),
        Case("PUT {M}", 401, {"data": {}, "pretty_print": True}, token=False),
        Case("GET /v2/none?pretty_print=true", 404),
    ]
)
def test_pretty_print_is_asked_for(rest: Rest, tenant: Tenant, case: Case) -> None:
    assert case.run(rest, tenant).body.startswith(b'{\n  "')


@table(
    [
        Case("PUT {M}?pretty_print=false", 201, {"data": {"name": "x"}, "pretty_print": True}),
        Case("PUT {M}", 201, {"data": {"name": "x", "pretty_print": True}}),
        Case("PUT {M}?pretty_print=1", 201, {"data": {"name": "x"}}),
        Case("PUT {M}", 201, {"data": {"name": "x"}}, {"x-pretty-print": "1"}),
    ]
)
def test_pretty_print_is_not_asked_for(rest: Rest, tenant: Tenant, case: Case) -> None:
    assert b"\n" not in case.run(rest, tenant).body
