"""Bodies that stream: broken, aborted, refused, stalled."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.gateway.running import Gateway
from tests.gateway.wire import connect, exchange, read_answer
from tests.support.product import wait_until

pytestmark = pytest.mark.gateway


@pytest.mark.parametrize("protocol", ["http", "http2"])
@pytest.mark.parametrize("sized", ["", "&unsized=1"])
def test_a_download_that_fails_half_way_is_seen_as_broken(
    request: pytest.FixtureRequest, protocol: str, sized: str
) -> None:
    client: httpx.Client = request.getfixturevalue(protocol)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(f"/v2/media/M/raw?chunks=8&do=poison{sized}")


@pytest.mark.parametrize("protocol", ["http", "http2"])
def test_a_download_of_many_messages_is_complete(
    request: pytest.FixtureRequest, protocol: str
) -> None:
    client: httpx.Client = request.getfixturevalue(protocol)
    answer = client.get("/v2/media/M/raw?chunks=40")
    assert len(answer.content) == 40 * 256 * 1024
    assert answer.headers["content-type"] == "audio/wav"


@pytest.mark.parametrize("protocol", ["http", "http2"])
def test_an_upload_arrives_in_messages_of_at_most_a_mebibyte(
    request: pytest.FixtureRequest, protocol: str
) -> None:
    client: httpx.Client = request.getfixturevalue(protocol)
    body = bytes(20_000_003)
    got = client.post("/v2/media/M/raw", content=body, headers={"content-type": "audio/mp3"}).json()
    assert got["body"] == len(body)
    assert got["messages"] >= 20
    assert got["content_type"] == "audio/mp3"
    assert got["metadata"]["x-rest-content-length"] == [str(len(body))]


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_an_aborted_upload_does_not_end_it_is_cancelled(gateway: Gateway, framing: str) -> None:
    call = uuid.uuid4().hex
    with connect(gateway.rest_port) as connection:
        head = f"POST /v2/media/M/raw?log={call} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"
        connection.sendall(head.encode() + (b"1\r\nx\r\n" if "chunked" in framing else b"x"))
        wait_until(lambda: bool(gateway.worker_log(call)), "the worker has the first byte")
    wait_until(lambda: gateway.worker_log(call)[-1]["event"] == "cancelled", "cancelled")
    assert [line["event"] for line in gateway.worker_log(call)] == ["first message", "cancelled"]


def test_a_refusal_reaches_the_client_while_its_body_is_pending(gateway: Gateway) -> None:
    with connect(gateway.rest_port) as connection:
        head = "POST /v2/media/M/raw?early=1&status=413 HTTP/1.1\r\nHost: a\r\n"
        connection.sendall(f"{head}Content-Length: 300000000\r\n\r\n".encode() + bytes(65536))
        answer = read_answer(connection)
    assert answer.status == 413
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["body"] == 0


def test_expect_100_continue_is_honoured(gateway: Gateway) -> None:
    with connect(gateway.rest_port) as connection:
        head = "POST /v2/media/M HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue"
        connection.sendall(f"{head}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"{}")
        assert read_answer(connection).json()["text"] == "{}"


def test_json_of_any_content_type_arrives_untouched(http: httpx.Client) -> None:
    for content_type in ("application/json", "application/x-www-form-urlencoded", "audio/mp3"):
        body = b'{"data": {"name": "a"},, broken'
        got = http.put("/v2/media", content=body, headers={"content-type": content_type}).json()
        assert got["text"] == body.decode()
        assert got["content_type"] == content_type


def test_a_delete_may_have_a_body(http: httpx.Client) -> None:
    got = http.request("DELETE", "/v2/media/M", content=b'{"data":{}}').json()
    assert (got["rpc"], got["text"]) == ("DeleteMedia", '{"data":{}}')


def test_a_body_of_20_mb_that_is_json_is_not_limited_by_the_gateway(http: httpx.Client) -> None:
    got = http.put("/v2/media", content=b"{" + b" " * 20_000_000 + b"}").json()
    assert got["body"] == 20_000_002


@pytest.fixture
def stalled(gateway: Gateway) -> Iterator[list[socket.socket]]:
    connections = []
    for _ in range(4):
        connection = connect(gateway.rest_port)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /v2/media/M/raw?chunks=200 HTTP/1.1\r\nHost: a\r\n\r\n")
        connections.append(connection)
    yield connections
    for connection in connections:
        connection.close()


def test_stalled_downloads_do_not_stop_other_requests(
    gateway: Gateway, stalled: list[socket.socket], http: httpx.Client
) -> None:
    for connection in stalled:
        assert connection.recv(12) == b"HTTP/1.1 200"
    for _ in range(20):
        assert http.get("/v2/media").status_code == 200
    assert len(http.get("/v2/media/M/raw?chunks=20").content) == 20 * 256 * 1024
    assert exchange(gateway.rest_port, b"GET /v2/media HTTP/1.0\r\n\r\n").status == 200


def test_a_stalled_upload_does_not_stop_other_requests(
    gateway: Gateway, http: httpx.Client
) -> None:
    with connect(gateway.rest_port) as connection:
        head = (
            "POST /v2/media/M/raw?pause=30 HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n"
        )
        connection.sendall(head.encode())
        connection.settimeout(0)
        sent = 0
        try:
            while sent < 90_000_000:
                sent += connection.send(bytes(1 << 20))
        except BlockingIOError:
            pass
        assert sent < 90_000_000
        assert http.put("/v2/media", content=bytes(3_000_000)).json()["body"] == 3_000_000
