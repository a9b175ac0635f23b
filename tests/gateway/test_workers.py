"""Workers that die, all or some; each test has a gateway of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.gateway.running import Gateway
from tests.support.product import wait_until

pytestmark = pytest.mark.gateway


def test_a_killed_worker_costs_no_request(runtime: Path) -> None:
    with Gateway(runtime, workers=2) as gateway, httpx.Client(base_url=gateway.rest_url) as client:
        wait_until(lambda: _serving(gateway, client) == 2, "both workers serve")
        for number in range(100):
            if number == 20:
                gateway.workers[0].kill()
                gateway.workers[0].wait()
            assert client.put("/v2/media", content=b"{}").status_code == 200


def test_what_only_reads_is_asked_of_another_worker(runtime: Path) -> None:
    with Gateway(runtime, workers=2) as gateway, httpx.Client(base_url=gateway.rest_url) as client:
        wait_until(lambda: _serving(gateway, client) == 2, "both workers serve")

        def read(method: str) -> int:
            return client.request(method, "/v2/media?pause=1&log=read").status_code

        def asked() -> int:
            return len(gateway.worker_log("read"))

        with ThreadPoolExecutor(20) as threads:
            answers = [threads.submit(read, method) for method in ["GET", "HEAD"] * 10]
            wait_until(lambda: asked() == 20, "the workers have all requests")
            gateway.workers[0].kill()  # no answer has begun
            assert [answer.result() for answer in answers] == [200] * 20
        assert asked() > 20
        for _ in range(40):
            assert client.get("/v2/media").status_code == 200


def test_without_workers_the_answer_is_503_and_comes_back(runtime: Path) -> None:
    with Gateway(runtime) as gateway, httpx.Client(base_url=gateway.rest_url) as client:
        gateway.workers[0].kill()
        gateway.workers[0].wait()
        answer = client.get("/v2/media")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["access-control-allow-origin"] == "*"
        envelope = answer.json()
        assert (envelope["error"], envelope["message"]) == ("503", "datastore_unreachable")
        assert envelope["request_id"] == answer.headers["x-request-id"]
        wait_until(lambda: client.get("/healthz").status_code == 503, "the health check fails")
        gateway.start_worker(0)
        wait_until(lambda: client.get("/v2/media").status_code == 200, "it serves again")
        wait_until(lambda: client.get("/healthz").status_code == 200, "it is healthy again")


def test_a_worker_that_answers_unavailable_stays_in_use(runtime: Path) -> None:
    with Gateway(runtime, workers=2) as gateway, httpx.Client(base_url=gateway.rest_url) as client:
        wait_until(lambda: _serving(gateway, client) == 2, "both workers serve")
        for _ in range(60):
            assert client.get("/v2/media?abort=UNAVAILABLE").status_code == 503
        assert _serving(gateway, client) == 2


def test_a_worker_killed_during_a_download_breaks_it(runtime: Path) -> None:
    with (
        Gateway(runtime) as gateway,
        httpx.stream("GET", f"{gateway.rest_url}/v2/media/M/raw?chunks=50&pause=0.1") as answer,
    ):
        pieces = answer.iter_raw()
        assert next(pieces)
        gateway.workers[0].kill()
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)


def _serving(gateway: Gateway, client: httpx.Client) -> int:
    """Return how many workers answered twenty requests."""
    before = len(gateway.access_log())
    for _ in range(20):
        client.get("/v2/media")
    wait_until(lambda: len(gateway.access_log()) >= before + 20, "the requests are logged")
    return len({line["worker"] for line in gateway.access_log()[before:]} - {None})
