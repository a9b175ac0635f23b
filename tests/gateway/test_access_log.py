"""The access log: JSON lines without secrets."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.gateway.running import Gateway
from tests.gateway.wire import exchange
from tests.support.product import wait_until

pytestmark = pytest.mark.gateway


def logged(gateway: Gateway, request_id: str) -> dict[str, Any]:
    """Return the line of a request."""

    def lines() -> list[dict[str, Any]]:
        return [line for line in gateway.access_log() if line["request_id"] == request_id]

    wait_until(lambda: bool(lines()), "the request is in the log")
    return lines()[0]


def test_a_request_is_one_line(gateway: Gateway, http: httpx.Client) -> None:
    sent = uuid.uuid4().hex
    http.put("/v1/media?a=b", content=b"{}", headers={"x-request-id": sent})
    line = logged(gateway, sent)
    assert (line["method"], line["uri"], line["status"]) == ("PUT", "/v1/media?a=b", 200)
    assert line["rpc"] == "/kazoo_media.crossbar.v2.CrossbarService/CreateMedia"
    assert (line["received_bytes"], line["peer"]) == (2, "127.0.0.1")
    assert line["worker"].endswith("worker-0.sock")


def test_a_trace_is_passed_on_and_logged(gateway: Gateway, http: httpx.Client) -> None:
    sent, trace = uuid.uuid4().hex, f"00-{uuid.uuid4().hex}-00f067aa0ba902b7-01"
    headers = {"x-request-id": sent, "traceparent": trace}
    got = http.get("/v2/media", headers=headers).json()
    assert got["metadata"]["traceparent"] == [trace]
    assert logged(gateway, sent)["traceparent"] == trace


@pytest.mark.parametrize(
    "key",
    [
        *("auth_token", "AUTH_TOKEN", "auth-token", "auth%5ftoken", "api_key"),
        *("credentials", "password", "key", "sig"),
    ],
)
def test_tokens_in_the_query_are_masked(gateway: Gateway, http: httpx.Client, key: str) -> None:
    sent = uuid.uuid4().hex
    got = http.get(f"/v2/media?a=b&{key}=eyJ.secret.x&c=d", headers={"x-request-id": sent}).json()
    assert "eyJ.secret.x" in got["metadata"]["x-rest-uri"][0]
    line = logged(gateway, sent)
    assert line["uri"] == f"/v2/media?a=b&{key}=***&c=d"
    assert "secret" not in str(line)


@pytest.mark.parametrize(
    ("target", "uri"),
    [
        ("/v2/media?a=b?auth_token=secret", "/v2/media?a=b?auth_token=***"),
        ("/v2/media?a=b;auth_token=secret;c", "/v2/media?a=b;auth_token=***;c"),
        ("/v2/media/M/raw&auth_token=secret", "/v2/media/M/raw&auth_token=***"),
        ("/v2/media/auth_token=secret/raw", "/v2/media/auth_token=***"),
        ("/v2/media?x=eyJhbGci.eyJpc3.secret_-&y=1", "/v2/media?x=***&y=1"),
        ("/v2/media/eyJhbGci.eyJpc3.secret/raw", "/v2/media/***/raw"),
        ("/v2/media?filter_name=eyJ.&x==", "/v2/media?filter_name=eyJ.&x=="),
        ("/v2/media?a=b&=&&c", "/v2/media?a=b&=&&c"),
    ],
)
def test_a_secret_is_masked_wherever_it_stands(
    gateway: Gateway, http: httpx.Client, target: str, uri: str
) -> None:
    sent = uuid.uuid4().hex
    http.get(target, headers={"x-request-id": sent})
    line = logged(gateway, sent)
    assert line["uri"] == uri
    assert "secret" not in str(line)


def test_a_refused_request_is_logged_without_its_query(gateway: Gateway) -> None:
    head = f"GET /v2/media/%00?auth_token=secret HTTP/1.1\r\nHost: {uuid.uuid4().hex}\r\n\r\n"
    before = len(gateway.access_log())
    assert exchange(gateway.rest_port, head.encode()).status == 400
    wait_until(lambda: len(gateway.access_log()) > before, "the request is in the log")
    assert "secret" not in str(gateway.access_log()[before:])


def test_health_checks_are_not_logged(gateway: Gateway, http: httpx.Client) -> None:
    sent, after = uuid.uuid4().hex, uuid.uuid4().hex
    http.get("/healthz", headers={"x-request-id": sent})
    http.get("/v2/media", headers={"x-request-id": after})
    logged(gateway, after)
    assert all(line["request_id"] != sent for line in gateway.access_log())
