"""`kazoo-media serve`: starts, restarts what dies, drains, refuses what can not work."""

from __future__ import annotations

import io
import json
import signal
import socket
import stat
import subprocess
import sys
import time
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from typing_extensions import override

from kazoo_media.access.login_limit import BURST, SECONDS_EACH
from kazoo_media.service.bootstrap import Bootstrap
from tests.e2e.clients import blob_files
from tests.support.product import Product, free_port, is_alive, wait_until

pytestmark = pytest.mark.e2e


class _FewFiles(Product):
    """A product that is started where a process may open 256 files, unless it asks for more."""

    @override
    def command(self) -> list[str]:
        return ["prlimit", "--nofile=256:4000", *super().command()]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Give a product whose two workers may be killed."""
    with _FewFiles(tmp_path_factory.mktemp("two"), workers="2") as running:
        yield running


@dataclass(frozen=True)
class Interrupted:
    """A product that Ctrl-C has stopped.

    Attributes:
        left: Processes that still ran afterwards.
    """

    folder: Path
    bootstrap: Bootstrap
    exit_code: int
    left: Sequence[psutil.Process]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    folder = tmp_path_factory.mktemp("interrupted")
    with Product(folder) as product:
        processes = psutil.Process(product.process.pid).children(recursive=True)
        exit_code = product.stop(signal.SIGINT)
        left = [each for each in processes if is_alive(each)]
        return Interrupted(folder, product.bootstrap, exit_code, left)


@contextmanager
def log_in(product: Product) -> Iterator[httpx.Client]:
    """Give a client of the master account."""
    with httpx.Client(base_url=product.rest_url, timeout=20) as client:
        answer = client.put("/v2/api_auth", json={"data": {"api_key": product.api_key}})
        assert answer.status_code == 201, answer.text
        client.headers["x-auth-token"] = answer.json()["auth_token"]
        yield client


def create(product: Product, client: httpx.Client) -> str:
    """Add a document and return its URL."""
    media = f"/v2/accounts/{product.account_id}/media"
    answer = client.put(media, json={"data": {"name": "greeting"}})
    assert answer.status_code == 201, answer.text
    return f"{media}/{answer.json()['data']['id']}"


def test_the_first_start_makes_an_account_that_can_log_in(product: Product) -> None:
    path = product.data_dir / "bootstrap.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(product.data_dir.stat().st_mode) == 0o700
    assert set(json.loads(path.read_text())) == {
        *("account_id", "api_key", "rest_url", "grpc_target")
    }
    with log_in(product) as client:
        assert client.get(f"/v2/accounts/{product.account_id}/media").status_code == 200


def test_the_output_says_where_everything_is_and_nothing_secret(product: Product) -> None:
    output = product.output()
    assert output.splitlines()[-1] == f"ready {product.rest_url} {product.grpc_target}"
    assert product.account_id in output
    assert str(product.data_dir / "bootstrap.json") in output
    assert product.api_key not in output


def test_every_log_line_is_json_without_secrets(product: Product) -> None:
    with log_in(product) as client:
        token = client.headers["x-auth-token"]
        client.get(f"/v2/media?auth_token={token}")
    wait_until(lambda: "auth_token=***" in product.log(), "the request is in the access log")
    assert {line.get("process") for line in product.log_lines()} >= {"worker-0"}
    assert token not in product.log()
    assert product.api_key not in product.log()


def test_healthz_is_200_without_a_token(product: Product) -> None:
    assert httpx.get(f"{product.rest_url}/healthz").status_code == 200


@pytest.mark.parametrize("service", ["", "kazoo_media.v1.MediaService"])
def test_grpc_health_is_serving(product: Product, service: str) -> None:
    with grpc.insecure_channel(product.grpc_target) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_second_serve_on_the_data_folder_is_refused(product: Product) -> None:
    refused = serve(data_dir=str(product.data_dir))
    assert refused.returncode == 1
    assert str(product.data_dir) in refused.stderr
    assert "another `kazoo-media serve`" in refused.stderr
    assert httpx.get(f"{product.rest_url}/healthz").status_code == 200


def test_what_is_announced_has_its_account(two: Product) -> None:
    # Any worker could answer the first health check; only one makes the account.
    assert two.account_id in two.output()


def test_a_killed_worker_is_started_again(two: Product) -> None:
    with log_in(two) as client:
        url = create(two, client)
        wait_until(lambda: both_serve(two, client, url), "both workers serve")
        killed = two.kill_worker(1)
        for _ in range(20):
            assert client.get(url).status_code == 200
        wait_until(lambda: 1 in two.workers(), "worker 1 runs again")
        assert two.workers()[1].pid != killed


def test_workers_and_envoy_may_open_as_many_files_as_the_system_permits(two: Product) -> None:
    for process in (two.workers()[0], two.envoy()):
        assert process.rlimit(psutil.RLIMIT_NOFILE) == (4000, 4000)


def test_more_workers_do_not_permit_more_guesses(two: Product) -> None:
    with log_in(two) as client:
        url = create(two, client)
        lines = len(two.log_lines())
        wait_until(lambda: both_serve(two, client, url, lines), "both workers serve")
        started = time.monotonic()
        guesses = Counter(guess(client) for _ in range(3 * BURST))
        back = (time.monotonic() - started) / SECONDS_EACH
        assert BURST <= guesses[401] <= BURST + back + 1
        assert guesses.keys() == {401, 429}


def guess(client: httpx.Client) -> int:
    return client.put("/v2/api_auth", json={"data": {"api_key": "0" * 64}}).status_code


def test_ctrl_c_ends_everything_and_leaves_nothing_behind(interrupted: Interrupted) -> None:
    assert interrupted.exit_code == 0
    assert not interrupted.left
    assert not (interrupted.folder / "data" / "run").exists()


def test_without_bootstrap_json_no_second_account_is_made(interrupted: Interrupted) -> None:
    product = Product(interrupted.folder)
    (product.data_dir / "bootstrap.json").unlink()
    with product as second:
        assert not (second.data_dir / "bootstrap.json").exists()
        address = second.output().splitlines()[-1].split()[1]
        key = {"data": {"api_key": interrupted.bootstrap.api_key}}
        assert httpx.put(f"{address}/v2/api_auth", json=key).status_code == 201


def test_a_first_start_that_crashed_after_making_the_account_is_continued(
    interrupted: Interrupted,
) -> None:
    account_id = interrupted.bootstrap.account_id
    product = Product(interrupted.folder)
    (product.data_dir / "bootstrap.json").unlink(missing_ok=True)
    (product.data_dir / "bootstrap.begun").write_text(account_id)
    with product as second, log_in(second) as client:
        assert second.account_id == account_id
        assert client.get(f"/v2/accounts/{account_id}/media").status_code == 200


def test_an_upload_is_broken_off_after_the_drain_time_or_by_a_second_signal(
    tmp_path: Path,
) -> None:
    with Product(tmp_path, drain_s="1") as product, log_in(product) as client:
        url = create(product, client)
        with begun_upload(product, client, url) as upload:
            product.process.send_signal(signal.SIGTERM)
            assert product.process.wait(20) == 0
            assert b" 200 " not in upload.recv(65536)
    with Product(tmp_path, drain_s="300") as product, log_in(product) as client:
        assert client.get(f"{url}/raw").status_code == 404
        before = product.log().count('"draining"')
        with begun_upload(product, client, url):
            product.process.send_signal(signal.SIGTERM)
            wait_until(lambda: product.log().count('"draining"') > before, "it drains")
            assert product.is_running()
            product.process.send_signal(signal.SIGTERM)
            assert product.process.wait(20) == 0


@contextmanager
def begun_upload(product: Product, client: httpx.Client, url: str) -> Iterator[socket.socket]:
    """Give a connection with an upload whose first 2 MB are stored; the rest does not follow."""
    data = io.BytesIO()
    with wave.open(data, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(bytes(2_100_000))
    audio = data.getvalue()
    token = client.headers["x-auth-token"]
    head = f"POST {url}/raw HTTP/1.1\r\nHost: a\r\nX-Auth-Token: {token}\r\n"
    head += f"Content-Type: audio/wav\r\nContent-Length: {len(audio)}\r\n\r\n"
    address = urlsplit(product.rest_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as upload:
        before = len(blob_files(product.data_dir))
        upload.sendall(head.encode() + audio[:-1000])
        wait_until(lambda: len(blob_files(product.data_dir)) > before, "the upload has begun")
        yield upload


def serve(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run `serve` with free ports until it ends by itself."""
    wanted = {"http_port": str(free_port()), "grpc_port": str(free_port()), **variables}
    return subprocess.run(
        [sys.executable, "-m", "kazoo_media", "serve"],
        env={f"KAZOO_MEDIA_{name.upper()}": value for name, value in wanted.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def both_serve(product: Product, client: httpx.Client, url: str, since_line: int = 0) -> bool:
    assert client.get(url).status_code == 200
    lines = product.log_lines()[since_line:]
    seen = {Path(str(line["worker"])).name for line in lines if "worker" in line}
    return seen >= {"worker-0.sock", "worker-1.sock"}
