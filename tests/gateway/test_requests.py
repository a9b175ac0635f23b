"""What reaches a worker of an HTTP request."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.gateway.running import Gateway
from tests.gateway.wire import exchange

pytestmark = pytest.mark.gateway


def seen(gateway: Gateway, request: str) -> Any:
    """Send the head of a request, return what the worker saw."""
    answer = exchange(gateway.rest_port, f"{request}\r\n\r\n".encode("latin-1"))
    assert answer.status == 200, answer
    return answer.json()


def test_query_keys_can_not_override_path_variables(http: httpx.Client) -> None:
    got = http.get("/v2/accounts/MINE/media/M?account_id=OTHER&media_id=N&accountId=OTHER").json()
    assert got["fields"] == {"account_id": "MINE", "media_id": "M"}


def test_body_fields_can_not_override_path_variables(http: httpx.Client) -> None:
    body = b'{"account_id":"OTHER","media_id":"N","body":{"data":""}}'
    got = http.post("/v2/accounts/MINE/media/M", content=body).json()
    assert got["fields"] == {"account_id": "MINE", "media_id": "M"}
    assert got["text"] == body.decode()


def test_the_query_arrives_in_metadata(http: httpx.Client) -> None:
    got = http.get("/v2/media?filter_name=a%20b&has_key=x&has_key=y").json()
    assert got["metadata"]["x-rest-uri"] == ["/v2/media?filter_name=a%20b&has_key=x&has_key=y"]


@pytest.mark.parametrize(
    "header",
    [
        "x-rest-uri",
        "x-rest-method",
        "x-rest-peer",
        "x-rest-content-type",
        "x-rest-content-length",
        "X-Rest-Anything",
        "x-envoy-original-path",
        "x-envoy-original-method",
        "x-envoy-retry-on",
        "x-envoy-upstream-rq-timeout-ms",
        "x-forwarded-client-cert",
    ],
)
def test_clients_can_not_send_what_only_the_gateway_says(gateway: Gateway, header: str) -> None:
    got = seen(gateway, f"GET /v2/media HTTP/1.1\r\nHost: a\r\n{header}: forged")
    assert "forged" not in str(got)


def test_method_length_type_and_peer_arrive_in_metadata(gateway: Gateway) -> None:
    head = "PUT /v2/media HTTP/1.1\r\nHost: a\r\nContent-Type: Audio/MP3; x=1\r\nContent-Length: 0"
    metadata = seen(gateway, head)["metadata"]
    assert metadata["x-rest-method"] == ["PUT"]
    assert metadata["x-rest-content-type"] == ["Audio/MP3; x=1"]
    assert metadata["x-rest-content-length"] == ["0"]
    assert metadata["x-rest-peer"] == ["127.0.0.1"]


def test_a_chunked_upload_has_no_length_in_metadata(http: httpx.Client) -> None:
    got = http.put("/v2/media", content=iter([b"{", b"}"])).json()
    assert "x-rest-content-length" not in got["metadata"]
    assert got["body"] == 2


@pytest.mark.parametrize(
    ("target", "rpc", "fields"),
    [
        ("/v1/media/M/raw", "DownloadRaw", {"media_id": "M", "attachment": "raw"}),
        ("/v1/accounts/A/media?a=/v1/x", "ListMedia", {"account_id": "A"}),
        ("/v1x/media", "Fallback", {"path": "v1x/media"}),
        ("//v2///media//", "ListMedia", {}),
        ("/v2/media/", "ListMedia", {}),
        ("/v2/media/prompts", "ListPrompts", {}),
        ("/v2/media/M/raw.mp3", "DownloadRaw", {"media_id": "M", "attachment": "raw.mp3"}),
        ("/v2/media/x/../M", "GetMedia", {"media_id": "M"}),
        ("/v2/media/fr-fr%2Fvm-x", "GetMedia", {"media_id": "fr-fr/vm-x"}),
        ("/v2/media/fr-fr%252Fvm-x", "GetMedia", {"media_id": "fr-fr%2Fvm-x"}),
        ("/v2/media/..%2Fx", "GetMedia", {"media_id": "../x"}),
        ("/v2/media/silence_stream:3", "GetMedia", {"media_id": "silence_stream:3"}),
        ("/v2/media/a%20b+c%3Fd%25", "GetMedia", {"media_id": "a b+c?d%"}),
        ("/v2/media/%C5%BC", "GetMedia", {"media_id": "ż"}),
        ("/v2/nothing/here", "Fallback", {"path": "v2/nothing/here"}),
        ("/", "Fallback", {}),
    ],
)
def test_a_path_reaches_its_rpc(gateway: Gateway, target: str, rpc: str, fields: object) -> None:
    got = seen(gateway, f"GET {target} HTTP/1.1\r\nHost: a")
    assert (got["rpc"], got["fields"]) == (rpc, fields)


def test_v1_is_v2(gateway: Gateway) -> None:
    got = seen(gateway, "GET /v1/media?x=/v1/ HTTP/1.1\r\nHost: a")
    assert got["metadata"]["x-rest-uri"] == ["/v1/media?x=/v1/"]


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "PATCH", "DELETE", "PUT"])
def test_a_verb_without_a_rule_reaches_the_fallback(gateway: Gateway, method: str) -> None:
    got = seen(gateway, f"{method} /v2/media/M/raw HTTP/1.1\r\nHost: a\r\nContent-Length: 0")
    assert got["rpc"] == "Fallback"
    assert got["metadata"]["x-rest-method"] == [method]


@pytest.mark.parametrize(
    "header",
    [
        "x-anything-bin: %%%",
        "grpc-timeout: bad",
        "grpc-encoding: none-such",
        "x!y$z: 1",
        "x-latin: caf\xe9",
        "content_type: application/json",
        "TE: trailers, deflate",
    ],
)
def test_headers_that_grpc_dislikes_do_no_harm(gateway: Gateway, header: str) -> None:
    got = seen(gateway, f"GET /v2/media HTTP/1.1\r\nHost: a\r\n{header}")
    assert got["rpc"] == "ListMedia"


def test_a_header_with_an_underscore_passes(gateway: Gateway) -> None:
    got = seen(gateway, "GET /v2/media HTTP/1.1\r\nHost: a\r\ncontent_type: audio/mp3")
    assert got["metadata"]["content_type"] == ["audio/mp3"]


def test_headers_up_to_60_kb_pass(http: httpx.Client) -> None:
    got = http.get("/v2/media", headers={"x-long": "a" * 55_000}).json()
    assert len(got["metadata"]["x-long"][0]) == 55_000
    got = http.get("/v2/media", params={"filter_name": "a" * 55_000}).json()
    assert len(got["metadata"]["x-rest-uri"][0]) > 55_000


def test_http_1_0_is_served(gateway: Gateway) -> None:
    assert seen(gateway, "GET /v2/media HTTP/1.0")["rpc"] == "ListMedia"


def test_grpc_on_the_rest_port_is_an_unmatched_path(gateway: Gateway) -> None:
    path = "/kazoo_media.crossbar.v2.CrossbarService/GetMedia"
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Type: application/grpc"
    answer = exchange(gateway.rest_port, f"{head}\r\n\r\n\0\0\0\0\0".encode())
    assert answer.json()["rpc"] == "Fallback"
    assert answer.headers["content-type"] == "application/json"


def test_the_clients_request_id_is_kept_and_returned(http: httpx.Client) -> None:
    sent = "3fb8c2a4-0000-4000-8000-000000000000"
    answer = http.get("/v2/media", headers={"x-request-id": sent})
    assert answer.headers["x-request-id"] == sent
    assert answer.json()["metadata"]["x-request-id"] == [sent]


def test_a_request_without_an_id_gets_one(http: httpx.Client) -> None:
    answer = http.get("/v2/media")
    assert answer.headers["x-request-id"] == answer.json()["metadata"]["x-request-id"][0]


def test_an_offered_upgrade_to_http_2_is_ignored(gateway: Gateway) -> None:
    offer = (
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings"
    )
    assert seen(gateway, f"GET /v2/media HTTP/1.1\r\nHost: a\r\n{offer}")["rpc"] == "ListMedia"
