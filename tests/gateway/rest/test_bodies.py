"""kazoo-v2, section 3: request bodies."""

from __future__ import annotations

import json

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, has, table

pytestmark = pytest.mark.gateway

_JSON = {"content-type": "application/json"}
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_GOOD = b'{"data":{"name":"File"}}'


@table(
    [
        Case("PUT {M}", 201, _GOOD),
        Case("PUT {M}", 201, _GOOD, _JSON),
        Case("PUT {M}", 201, _GOOD, {"content-type": "application/json; charset=utf-8"}),
        Case("PUT {M}", 201, _GOOD, {"content-type": "application/x-json"}),
        Case("PUT {M}", 201, _GOOD, _FORM),
        Case("PUT {M}", 201, b'{"data":{"name":"a=b&c=%"}}', _FORM, data=has(name="a=b&c=%")),
        Case("PUT {M}", 201, b'\r\n {"data":{"name":"File"}}\n', _FORM),
        Case("PUT {M}", 201, _GOOD, {"content-type": "text/plain"}),
        Case("PUT {M}", 201, _GOOD, {"content-type": "audio/mp3"}),
        Case("PUT {M}", 201, _GOOD, {"content-type": "multipart/form-data; boundary=x"}),
        Case("PUT {M}", 201, b'{"DATA":{"name":"File"},"Auth-Token":""}'),
        Case("PUT {M}", 201, b'{"data":{"name":"File","x":1},"y":null}'),
    ]
)
def test_json_is_read_whatever_the_type_says(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


def _invalid(position: int) -> dict[str, object]:
    message = f"invalid_json around {position}"
    return {"json": {"invalid": {"message": message, "target": "body"}}}


def _number(position: int) -> dict[str, object]:
    message = f"invalid_number around {position}"
    return {"json": {"invalid": {"message": message, "target": "body"}}}


_DEEP = has(json=has(invalid=has(message="the JSON has more than 32 levels")))
_REQUIRED = "Field is required but missing"
_TYPES = "Value did not match type(s): object, array"


@table(
    [
        Case("PUT {M}", 400, b'{"data":{"name":"File",}}', data=_invalid(24)),
        Case("PUT {M}", 400, b'{"data":{"name":"File", \n }}', data=_invalid(27)),
        Case("PUT {M}", 400, b'{"data":', data=_invalid(9)),
        Case("PUT {M}", 400, b'{"data":{}}{}', data=_invalid(12)),
        Case("PUT {M}", 400, '{"ż":{,}}'.encode(), data=_invalid(8)),
        Case("PUT {M}", 400, b'{"data":{"name":"\xff"}}', data=_invalid(18)),
        Case("PUT {M}", 400, b'{"data":{"name":"\\ud800"}}', data=has(json=has())),
        Case("PUT {M}", 400, b'{"data":{"name":"a\\u0000b"}}', data=_invalid(19)),
        Case("PUT {M}", 400, b'{"data":{"name":"a\x00b"}}', data=has(json=has())),
        Case("PUT {M}", 400, b'{"data":{"a\\u0000":1}}', data=has(json=has())),
        Case("PUT {M}", 400, b'{"data":{"name":"\xc3"}}', data=_invalid(18)),
        Case("PUT {M}", 400, b"{'data':{}}", data=_invalid(2)),
        Case("PUT {M}", 400, b'{"data":{"name":"x"}} {"data":{}}', data=_invalid(23)),
        Case("PUT {M}", 400, b'{"data":{"n":18446744073709551616}}', data=_number(14)),
        Case("PUT {M}", 400, b'{"data":{"n":-9223372036854775809}}', data=_number(14)),
        Case("PUT {M}", 400, b'{"data":{"n":' + b"9" * 5000 + b"}}", data=has(json=has())),
        Case("PUT {M}", 400, b'{"data":{"n":1e999}}', data=has(json=has(invalid=has()))),
        Case("PUT {M}", 400, b'{"data":{"n":' + b"[" * 300 + b"]" * 300 + b"}}", data=_DEEP),
        Case("PUT {M}", 400, b'{"data":' + b"[" * 32 + b"]" * 32 + b"}", data=_DEEP),
        Case("PUT {M}", 400, b'{"data":' + b"[" * 31 + b"]" * 31 + b"}", data=has(data=has())),
        Case("PUT {M}", 400, b"[1]", _JSON, data=has(json=has(invalid=has()))),
        Case("PUT {M}", 400, b'"text"', data=has(json=has(invalid=has()))),
        Case(
            "PUT {M}",
            400,
            {"name": "x"},
            data={"data": {"required": {"message": _REQUIRED, "value": {"name": "x"}}}},
        ),
        Case("PUT {M}", 400, b"name=x&y=1", _FORM, data=has(data=has(required=has()))),
        Case(
            "PUT {M}",
            400,
            {"data": "x"},
            data={"data": {"type": {"message": _TYPES, "target": "object, array", "value": "x"}}},
        ),
        Case("PUT {M}", 400, {"data": [1]}, data=has(data=has(type=has()))),
        Case("PUT {M}", 400, {"data": None}, data=has(data=has(required=has()))),
        Case("PUT {M}", 400, b"", data=has(name=has(required=has()))),
        Case("PUT {M}", 400, None, data=has(name=has(required=has()))),
        Case("PUT {M}", 400, b"hello", {"content-type": "text/plain"}, data=has(name=has())),
    ]
)
def test_a_body_that_is_not_an_envelope_is_refused(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


def test_a_backslash_before_u0000_is_no_nul(rest: Rest, tenant: Tenant) -> None:
    reply = ask(rest, tenant, "PUT {M}", {"data": {"name": "a\\u0000"}})
    assert reply.data["name"] == "a\\u0000"


def _of_size(size: int) -> bytes:
    empty = json.dumps({"data": {"name": "File", "x": ""}})
    return empty.replace('""', f'"{"y" * (size - len(empty))}"').encode()


def test_json_may_have_five_mebibytes(rest: Rest, tenant: Tenant) -> None:
    limit = 5 * 1024**2
    created = ask(rest, tenant, "PUT {M}", _of_size(limit))
    assert created.status == 201
    found = ask(rest, tenant, f"GET {{M}}/{created.data['id']}")
    assert found.data == created.data
    text = f"Payload or Files must not be more than {limit} bytes"
    refused = ask(rest, tenant, "PUT {M}", _of_size(limit + 1))
    assert refused.status == 413
    assert refused.json["message"] == "request_too_large"
    assert refused.data == {"file": {"maxSize": {"message": text, "target": limit}}}


def test_json_without_a_length_is_counted(rest: Rest, tenant: Tenant) -> None:
    pieces = iter([_of_size(5 * 1024**2 + 1)])
    token = [("x-auth-token", tenant.token)]
    assert rest.send("PUT", tenant.media, pieces, token).status == 413
    small = rest.send("PUT", tenant.media, iter([b'{"data":', b'{"name":"File"}}']), token)
    assert small.status == 201


@table(
    [
        Case("GET {M}", 200, None, _JSON, data=[]),
        Case("DELETE {M}/abc", 404, b'{"data":{}}', _JSON),
        Case("DELETE {M}/abc", 404, b"", _JSON),
        Case("DELETE {M}/abc", 404, b"%PDF", {"content-type": "application/pdf"}),
        Case("DELETE {M}/abc", 400, b"{", _JSON, data=has(json=has())),
    ]
)
def test_get_and_delete_may_carry_a_type_and_a_body(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


def test_numbers_and_the_order_of_keys_are_kept_exactly(rest: Rest, tenant: Tenant) -> None:
    document = (
        '"name":"File","z":18446744073709551615,"a":-9223372036854775808,"m":9007199254740993,'
        '"b":{"y":1.0,"x":0.1,"w":-0.5,"c":[1.5e+300,1e-7]},"id_list":["0042"]'
    )
    created = ask(rest, tenant, "PUT {M}", f'{{"data":{{{document}}}}}'.encode())
    assert created.status == 201, created.body
    found = ask(rest, tenant, f"GET {{M}}/{created.data['id']}")
    for reply in (created, found):
        assert document.encode() in reply.body


def test_the_deepest_document_is_stored_and_given_back(rest: Rest, tenant: Tenant) -> None:
    deep = b"[" * 30 + b"]" * 30
    created = ask(rest, tenant, "PUT {M}", b'{"data":{"name":"File","x":' + deep + b"}}")
    assert created.status == 201, created.body
    path = f"{{M}}/{created.data['id']}"
    for request in (f"GET {path}?pretty_print=true", "GET {M}?has_key=x", f"DELETE {path}"):
        assert ask(rest, tenant, request).status == 200


@table(
    [
        Case("PUT {M}?accept=application/json", 201, _GOOD, {"accept": "text/html"}),
        Case("PUT {M}?accept=text/html", 406, _GOOD),
        Case("PUT {M}", 406, b'{"accept":"text/html","data":{"name":"File"}}'),
        Case("PUT {M}?accept=*/*", 201, b'{"accept":"text/html","data":{"name":"File"}}'),
        Case("PUT {M}", 201, b'{"data":{"name":"File","accept":"text/html"}}'),
        Case("POST {M}", 201, b'{"verb":"put","data":{"name":"File"}}'),
        Case("POST {M}", 201, b'{"VERB":"Put","data":{"name":"File"}}'),
        Case("POST {M}?verb=PUT", 201, b'{"verb":"DELETE","data":{"name":"File"}}'),
        Case("POST {M}?verb=", 201, b'{"verb":"PUT","data":{"name":"File"}}'),
        Case("POST {M}?verb=GET&verb=PUT", 201, _GOOD),
        Case("POST {M}", 405, b'{"verb":["PUT"],"data":{"name":"File"}}'),
        Case("POST {M}", 405, b'{"verb":"NONE","data":{"name":"File"}}'),
        Case("POST {M}/abc", 405, b'{"verb":"PUT","data":{"name":"File"}}'),
        Case("POST {M}/abc", 404, b'{"verb":"DELETE","data":{}}', message="bad_identifier"),
    ]
)
def test_a_parameter_is_taken_from_the_query_then_from_the_envelope(
    rest: Rest, tenant: Tenant, case: Case
) -> None:
    case.run(rest, tenant)
