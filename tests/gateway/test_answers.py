"""How a worker's answer becomes HTTP."""

from __future__ import annotations

import gzip

import httpx
import pytest

from tests.gateway.running import Gateway
from tests.gateway.wire import connect, read_answer

pytestmark = pytest.mark.gateway

_ENVELOPE = {
    *("data", "error", "message", "status", "auth_token"),
    *("request_id", "node", "version", "timestamp"),
}


def check_envelope(answer: httpx.Response, message: str) -> None:
    """Check that an answer is Kazoo's error envelope, and nothing of a worker's text is in it."""
    assert answer.headers["content-type"] == "application/json"
    envelope = answer.json()
    assert set(envelope) == _ENVELOPE
    assert (envelope["status"], envelope["message"]) == ("error", message)
    assert envelope["error"] == str(answer.status_code)
    assert envelope["request_id"] == answer.headers["x-request-id"]
    assert envelope["node"] == "node-1"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "secret" not in answer.text


@pytest.mark.parametrize("protocol", ["http", "http2"])
@pytest.mark.parametrize(
    "status", [200, 201, 206, 400, 404, 405, 409, 412, 413, 415, 416, 503, 507]
)
def test_the_worker_sets_status_headers_and_length(
    request: pytest.FixtureRequest, protocol: str, status: int
) -> None:
    client: httpx.Client = request.getfixturevalue(protocol)
    for answer in (
        client.get(f"/v2/media/M/raw?status={status}&h-etag=%22e%22&h-location=/v2/x"),
        client.post(f"/v2/media/M?status={status}&h-etag=%22e%22&h-location=/v2/x", content=b"{}"),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-length"] == str(len(answer.content))
        assert answer.headers["etag"] == '"e"'
        assert answer.headers["location"] == "/v2/x"
        internal = [key for key in answer.headers if key.startswith(("x-http", "x-media", "grpc"))]
        assert internal == []


def test_a_small_answer_of_a_streaming_rpc_has_a_length(http: httpx.Client) -> None:
    answer = http.get("/v2/media/M")
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize("protocol", ["http", "http2"])
@pytest.mark.parametrize("path", ["/v2/media", "/v2/accounts/A/media/M", "/v2/media/M/raw"])
def test_head_has_the_length_and_no_body(
    request: pytest.FixtureRequest, protocol: str, path: str
) -> None:
    client: httpx.Client = request.getfixturevalue(protocol)
    answer = client.head(path)
    assert answer.status_code == 200
    assert answer.content == b""
    assert int(answer.headers["content-length"]) > 100
    assert answer.headers["content-type"] == "application/json"
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("abort=INVALID_ARGUMENT", 400, "bad request"),
        ("abort=UNAUTHENTICATED", 401, "invalid_credentials"),
        ("abort=PERMISSION_DENIED", 403, "forbidden"),
        ("abort=NOT_FOUND", 404, "not_found"),
        ("abort=RESOURCE_EXHAUSTED", 429, "too_many_requests"),
        ("abort=INTERNAL", 500, "internal error"),
        ("abort=UNIMPLEMENTED", 500, "internal error"),
        ("abort=UNAVAILABLE", 503, "datastore_unreachable"),
        ("abort=DEADLINE_EXCEEDED", 504, "gateway_timeout"),
        ("do=raise", 500, "internal error"),
    ],
)
def test_a_grpc_error_becomes_an_envelope_without_its_text(
    http: httpx.Client, query: str, status: int, message: str
) -> None:
    for answer in (
        http.get(f"/v2/media/M?{query}"),
        http.post(f"/v2/media/M?{query}", content=b"{}"),
    ):
        assert answer.status_code == status
        check_envelope(answer, message)


def test_a_path_that_is_no_utf_8_is_answered_with_an_envelope(http: httpx.Client) -> None:
    check_envelope(http.get("/v2/media/%ff"), "internal error")


def test_a_grpc_error_to_head_has_no_body(gateway: Gateway) -> None:
    with connect(gateway.rest_port) as connection:
        connection.sendall(b"HEAD /v2/media/M?abort=NOT_FOUND HTTP/1.1\r\nHost: a\r\n\r\n")
        head = connection.recv(4096)
        assert head.startswith(b"HTTP/1.1 404")
        connection.sendall(b"GET /v2/media/M HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_answer(connection).status == 200


def test_a_strange_request_id_can_not_break_the_envelope(http: httpx.Client) -> None:
    sent = 'a"b\\c'
    answer = http.get("/v2/media/M?abort=NOT_FOUND", headers={"x-request-id": sent})
    check_envelope(answer, "not_found")
    assert answer.json()["request_id"] == sent


def test_a_connection_goes_on_after_errors(gateway: Gateway) -> None:
    with connect(gateway.rest_port) as connection:
        for query, status in (("abort=NOT_FOUND", 404), ("status=409", 409), ("", 200)):
            connection.sendall(f"GET /v2/media/M?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            answer = read_answer(connection)
            assert answer.status == status
            assert answer.headers.get("connection") != "close"


def test_long_json_is_compressed_when_asked_for(http: httpx.Client) -> None:
    url = "/v2/media?pad=100000&unsized=1"
    plain = http.get(url, headers={"accept-encoding": "identity"})
    with http.stream("GET", url, headers={"accept-encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(raw) < len(plain.content) / 10
    assert len(gzip.decompress(raw)) == len(plain.content) - len("identity") + len("gzip")


def test_what_has_an_etag_is_not_compressed(http: httpx.Client) -> None:
    answer = http.get("/v2/media/M?pad=100000&h-etag=%22strong%22")
    assert "content-encoding" not in answer.headers
    assert answer.headers["etag"] == '"strong"'
    assert answer.headers["content-length"] == str(len(answer.content))


def test_audio_is_not_compressed(http: httpx.Client) -> None:
    answer = http.get("/v2/media/M/raw?chunks=1")
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-length"] == "262144"


def test_long_json_answers_to_writes_pass(http: httpx.Client) -> None:
    answer = http.post("/v2/media/M?pad=9000000", content=b"{}")
    assert answer.status_code == 200
    assert len(answer.content) > 9_000_000
