"""No request keeps the worker's event loop from other requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import ask, create
from tests.support.audio_samples import tone
from tests.support.loop_watch import LONGEST_S

pytestmark = pytest.mark.gateway

_JSON = {"content-type": "application/json"}
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_BASE64 = {"content-type": "application/base64"}
_PARTS = {"content-type": "multipart/form-data; boundary=x"}
_FILE = b'--x\r\ncontent-disposition: form-data; name="f"; filename="a.wav"\r\n\r\n'
_JSON_BYTES = 5 * 1024**2
_HEADER_BYTES = 50_000
_BODIES = 50


@dataclass(frozen=True)
class Kind:
    """A hostile request. `{M}` in the path are the account's media, `{I}` is one of them.

    Attributes:
        says: Words of the answer: numbers and limits.
    """

    name: str
    request: str
    status: int
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    says: tuple[str, ...] = ()


def _filled(start: bytes, repeated: bytes, end: bytes, size: int = _JSON_BYTES) -> bytes:
    """Return a text of nearly a size."""
    return start + repeated * ((size - len(start) - len(end)) // len(repeated)) + end


def _body(start: bytes, repeated: bytes, end: bytes) -> bytes:
    """Return a body of nearly 5 MiB whose document has a value."""
    return _filled(b'{"data":{"name":"File","x":' + start, repeated, end + b"}}")


def _json(name: str, status: int, body: bytes, *says: str, request: str = "PATCH {M}/{I}") -> Kind:
    return Kind(name, request, status, body, _JSON, says)


_KEYS = b",".join(b'"k%d":1' % number for number in range(330_000))
_VALUES = (" values are too many: at most 5000",)
_STRINGS = (" strings are too many: at most 10000",)

_DOCUMENTS = [
    _json("numbers", 400, _body(b"[", b"1,", b"1]"), *_VALUES),
    _json("a long number", 400, _body(b"[", b"1,", b"1234567890123456789]"), *_VALUES),
    _json("empty arrays", 400, _body(b"[", b"[],", b"[]]"), *_VALUES),
    _json("empty objects", 400, _body(b"[", b"{},", b"{}]"), *_VALUES),
    _json("empty strings", 400, _body(b"[", b'"",', b'""]'), *_STRINGS),
    _json("keys", 400, _body(b"{" + _KEYS, b" ", b"}"), "330004 strings", *_STRINGS),
    _json("equal keys", 400, _body(b"{", b'"k":1,', b'"k":1}'), *_STRINGS),
    _json("unclosed arrays", 400, b"[" * _JSON_BYTES, "5242880 values", *_VALUES),
    _json("deep arrays", 400, b'{"data":' + b"[" * 900 + b"]" * 900 + b"}", "32 levels"),
    _json("many deep arrays", 400, _body(b"[", b"[" * 300 + b"]" * 300 + b",", b"1]"), *_VALUES),
    _json("escapes", 200, _body(b'"', b"\\n", b'"')),
    _json("long escapes", 200, _body(b'"', b"\\u00e9", b'"')),
    _json("escaped quotation marks", 200, _body(b'"', b'\\"', b'"')),
    _json("escapes and a long number", 400, _body(b'["', b"\\n", b'",12345678901234567890123]')),
    _json("texts like NUL", 200, _body(b'"', b"\\\\u0000", b'"')),
    _json("digits in a string", 200, _body(b'"', b"9" * 18 + b"x", b'"')),
    _json("a huge integer", 400, _body(b"", b"9", b"")),
    _json("a huge fraction", 200, _body(b"0.", b"9", b"")),
    _json("white space in JSON", 200, _body(b"", b" \n", b"1")),
    _json("commas in a string", 200, _body(b'"', b",", b'"')),
    _json("as many values as allowed", 200, _body(b"[" + b"{}," * 4_900, b" ", b"1]")),
    _json(
        "as many keys as allowed", 200, _body(b"{" + _KEYS[: _KEYS.index(b',"k4900"')], b" ", b"}")
    ),
    _json("a long name", 400, _filled(b'{"data":{"name":"', b"x", b'"}}')),
    _json("a long voice", 400, _filled(b'{"data":{"tts":{"voice":"male/en-US/', b"x", b'!"}}}')),
    _json("a long integer as text", 400, _filled(b'{"data":{"content_length":"', b"1", b'"}}')),
    _json(
        "a long id",
        400,
        _filled(b'{"data":{"name":"x","id":"', b"%41", b'"}}'),
        "at most 16384",
        request="PUT {M}",
    ),
    _json(
        "a long parameter",
        400,
        _filled(b'{"data":{"name":"x"},"accept":"', b"a/b,", b'"}'),
        "at most 16384",
    ),
    _json(
        "a long token in the body",
        400,
        _filled(b'{"data":{},"auth_token":"', b"a.", b'"}'),
        "16384",
    ),
]

_FORMS = [
    Kind("form fields", "PUT {M}", 400, b"a&" * 120_000, _FORM, ("120001", "at most 5000")),
    Kind("a large form", "PUT {M}", 413, b"a&" * 2_600_000, _FORM, ("262144",)),
    Kind("escapes in a form", "PUT {M}", 400, b"a=" + b"%41" * 80_000, _FORM),
]

_QUERIES = [
    Kind("query parameters", f"GET {{M}}?{'a&' * 25_000}", 400, says=("25001", "at most 5000")),
    Kind("filters", f"GET {{M}}?{'filter_a=1&' * 999}x", 400, says=("999 filters", "at most 100")),
    Kind("other filters", f"GET {{M}}?{'has_key=a&' * 999}x", 400, says=("999", "at most 100")),
    Kind("compared values", f"GET {{M}}?filter_a=[{'1,' * 20_000}1]", 400, says=("20001", "1000")),
    Kind("deep filters", f"GET {{M}}?filter_{'a.' * 20_000}a=1", 400, says=("20001", "at most 32")),
    Kind("deep values", f"GET {{M}}?filter_a={'[' * 900}{']' * 900}", 200),
    Kind("a long page size", f"GET {{M}}?page_size={'9' * _HEADER_BYTES}", 200),
    Kind("a long start key", f"GET {{M}}?start_key={'g20' * 16_000}", 200),
    Kind("a long time", f"GET {{M}}?created_from={'1' * _HEADER_BYTES}", 400),
    Kind("a long file name", f"GET {{M}}?accept=csv&filename={'%C3%A9' * 8_000}", 200),
    Kind("percent-encoded parameters", f"GET {{M}}?a={'%41' * 16_000}", 200),
    Kind("a long token in the query", f"GET {{M}}?auth_token={'a.' * 20_000}", 200),
    Kind("a percent-encoded id", f"GET {{M}}/{'%2541' * 10_000}", 404),
    Kind("a long id in the path", f"GET {{M}}/{'a' * _HEADER_BYTES}", 404),
    Kind("a path of many parts", f"GET /v2/{'%41/' * 12_000}", 404),
    Kind("a list of many types", "GET {M}", 400, headers={"accept": "a/b;q=0.1," * 4_000}),
    Kind("1000 types", "GET {M}", 406, headers={"accept": ",".join(["a/b;q=0.5"] * 1_000)}),
    Kind("parameters of a type", "GET {M}", 400, headers={"accept": "a/b;" + "a=b;" * 10_000}),
    Kind("entity tags", "GET {M}/{I}", 400, headers={"if-match": '"a",' * 12_000}),
    Kind("1000 entity tags", "GET {M}/{I}", 412, headers={"if-match": ",".join(['"a"'] * 1_000)}),
    Kind("commas", "GET {M}/{I}", 400, headers={"if-none-match": "," * _HEADER_BYTES}),
    Kind("ranges", "GET {M}/{I}/raw", 400, headers={"range": "bytes=" + "0-0," * 10_000 + "0-0"}),
    Kind("cookies", "GET {M}/{I}", 200, headers={"cookie": "a=b; " * 10_000}),
    Kind("a long token", "GET {M}/{I}", 200, headers={"authorization": "Bearer " + "a" * 50_000}),
    Kind("a long request id", "GET {M}/{I}", 200, headers={"x-request-id": "é" * 20_000}),
    Kind("90 headers", "GET {M}/{I}", 200, headers={f"x-{n}": "a" * 500 for n in range(90)}),
]


def _upload(name: str, status: int, body: bytes, headers: Mapping[str, str], *says: str) -> Kind:
    return Kind(name, "POST {M}/{I}/raw", status, body, headers, says)


_EMPTY_WAV = tone(0.0)
_FLAC = b"fLaC\0\0\0\x22" + bytes(34)

_UPLOADS = [
    _upload("WAV files", 200, _EMPTY_WAV * 20_000, {"content-type": "audio/wav"}),
    _upload("chunks", 200, tone(0.1) + b"abcd\0\0\0\0" * 120_000, {"content-type": "audio/wav"}),
    _upload("blocks", 200, _FLAC + bytes(1_000_000), {"content-type": "audio/flac"}),
    _upload("parts", 400, b"--x\r\na:b\r\n\r\n\r\n" * 100_000, _PARTS, "parts", "at most 100"),
    _upload("boundaries, nearly", 400, _FILE + b"\r\n--x-" * 200_000, _PARTS),
    _upload("part headers", 400, b"--x\r\n" + b"a:b\r\n" * 200_000, _PARTS),
    _upload("a long part header", 400, _FILE[:-4] + b";" * 1_000_000 + b"\r\n\r\n", _PARTS),
    _upload("line ends before parts", 400, b"\r\n" * 500_000, _PARTS),
    _upload("line ends in a part", 400, _FILE + b"\r\n" * 500_000 + b"\r\n--x--", _PARTS),
    _upload("line ends after parts", 400, _FILE + b"\r\n--x--" + b"\r\n" * 500_000, _PARTS),
    _upload(
        "a long boundary", 400, b"", {"content-type": f"multipart/mixed; boundary={'x' * 10_000}"}
    ),
    _upload("parameters", 400, b"", {"content-type": "multipart/mixed" + ";" * _HEADER_BYTES}),
    _upload("white space", 400, b" " * 1_000_000, _BASE64),
    _upload("white space after a letter", 400, b"A" + b"\n" * 1_000_000, _BASE64),
    _upload("escaped white space", 400, b'"' + b"\\n" * 500_000, _BASE64),
    _upload("back-slashes", 400, b'"' + b"\\" * 1_000_000, _BASE64),
    _upload("equals signs", 400, b"=" * 1_000_000, _BASE64),
    _upload("letters far apart", 400, (b"A" + b" " * 60_000) * 100, _BASE64),
    _upload("a data URI without an end", 400, b"data:" + b"a" * 1_000_000, _BASE64),
]


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        pytest.param(kind, -(-_BODIES // len(kinds)), id=kind.name.replace(" ", "-"))
        for kinds in (_DOCUMENTS, _FORMS, _QUERIES, _UPLOADS)
        for kind in kinds
    ],
)
def test_no_callback_takes_long(rest: Rest, tenant: Tenant, kind: Kind, times: int) -> None:
    request = kind.request.replace("{I}", create(rest, tenant))
    with rest.watched() as watch:
        for _ in range(times):
            try:
                reply = ask(rest, tenant, request, kind.body, kind.headers)
            except ConnectionError:  # answered before the end of the body
                continue
            assert reply.status == kind.status, reply.body[:500]
            assert all(word in reply.body.decode() for word in kind.says), reply.body[:500]
    assert watch.longest_s < LONGEST_S
