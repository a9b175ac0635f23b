"""Envoy's own answers are Kazoo envelopes."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.gateway.running import Gateway
from tests.gateway.wire import Answer, connect, exchange, read_answer

pytestmark = pytest.mark.gateway


def check(answer: Answer, status: int, message: str) -> None:
    """Check that an answer is an error envelope."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    envelope = answer.json()
    assert envelope["error"] == str(status)
    assert envelope["message"] == message
    assert envelope["status"] == "error"
    assert envelope["auth_token"] == "undefined"
    assert envelope["node"] == "node-1"
    assert isinstance(envelope["request_id"], str)
    assert isinstance(envelope["data"], dict)
    assert envelope["version"]
    assert envelope["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "head",
    [
        "garbage",
        "FOO / HTTP/1.1\r\nHost: a",
        "GET / HTTP/1.1",
        "GET /v2/media/%00 HTTP/1.1\r\nHost: a",
        "CONNECT a:1 HTTP/1.1\r\nHost: a",
        "POST /v2/media HTTP/1.1\r\nHost: a\r\nContent-Length: x",
        "POST /v2/media HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "POST /v2/media HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked",
        "POST /v2/media/%00 HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc",
        "GET /v2/media HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n"
        "Content-Length: 2\r\n\r\nxx",
        "POST /v2/media HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n"
        "Transfer-Encoding: chunked\r\n\r\n-1",
    ],
)
def test_a_broken_request(gateway: Gateway, head: str) -> None:
    check(exchange(gateway.rest_port, f"{head}\r\n\r\n".encode()), 400, "bad request")


@pytest.mark.parametrize("headers", [{"x-long": "a" * 70_000}, dict.fromkeys(map(str, range(101)))])
def test_headers_over_60_kib_or_over_100(gateway: Gateway, headers: dict[str, str | None]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"
    answer = exchange(gateway.rest_port, head.encode())
    check(answer, 431, "headers_too_large")
    assert answer.json()["data"]["message"] == (
        "the request has more than 100 headers or 60 KiB of them"
    )


def test_a_request_that_does_not_arrive(runtime: Path) -> None:
    with (
        Gateway(runtime, rest={"request_headers_timeout": "0.2s"}) as gateway,
        connect(gateway.rest_port) as connection,
    ):
        connection.sendall(b"GET /v2/media HTTP/1.1\r\n")
        check(read_answer(connection), 408, "request_timeout")


def test_an_answer_that_does_not_come(runtime: Path) -> None:
    with (
        Gateway(runtime, rest={"stream_idle_timeout": "0.3s"}) as gateway,
        connect(gateway.rest_port) as connection,
    ):
        head = b"POST /v2/media/M?pause=5 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
        connection.sendall(head + b"{}")
        answer = read_answer(connection)
        check(answer, 504, "gateway_timeout")
        assert answer.headers["retry-after"] == "1"


def test_healthz_is_200_without_a_token(http: httpx.Client) -> None:
    for path in ("/healthz", "/healthz/", "/healthz?from=a-load-balancer"):
        answer = http.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["status"] == "success"
        assert "x-envoy-upstream-healthchecked-cluster" not in answer.headers
    assert http.head("/healthz").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_healthz_is_only_read(http: httpx.Client, method: str) -> None:
    answer = http.request(method, "/healthz")
    assert answer.json()["rpc"] == "Fallback"
