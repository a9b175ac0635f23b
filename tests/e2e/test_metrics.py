"""The metrics of the running product: what they count, and that Prometheus accepts the text."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kazoo_media.v1.media_service_pb2 import GetMediaRequest
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from tests.support.audio_samples import tone
from tests.support.product import Product, free_port, wait_until
from tests.support.standalone import StandaloneWorker
from tests.support.watching import watched_metrics

pytestmark = pytest.mark.e2e

_SECRETIVE = "the-name-of-a-client"


def metrics_of(product: Product) -> str:
    """Return the text of the metrics, which promtool and prometheus-client accept."""
    answer = httpx.get(f"http://127.0.0.1:{product.variables['metrics_port']}/metrics", timeout=20)
    assert answer.status_code == 200, answer.text
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=answer.text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr
    return answer.text


def counts(product: Product, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a name by the values of their labels in alphabetical order."""
    return _samples(metrics_of(product), name)


def _samples(text: str, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


class Tenant:
    """The master account over REST."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._client = httpx.Client(base_url=product.rest_url, timeout=20)
        answer = self._client.put("/v2/api_auth", json={"data": {"api_key": product.api_key}})
        self.token = answer.json()["auth_token"]
        self._client.headers["x-auth-token"] = self.token
        self._media = f"/v2/accounts/{product.account_id}/media"

    def close(self) -> None:
        self._client.close()

    def create(self, media_id: str) -> None:
        answer = self._client.put(self._media, json={"data": {"id": media_id, "name": "x"}})
        assert answer.status_code == 201, answer.text

    def upload(self, media_id: str, data: bytes, preset: str) -> int:
        answer = self._client.post(
            f"{self._media}/{media_id}/raw?preset={preset}",
            content=data,
            headers={"content-type": "audio/x-wav"},
        )
        return answer.status_code

    def get(self, path: str) -> int:
        return self._client.get(f"{self._media}/{path}").status_code

    @contextmanager
    def begun_upload(self, media_id: str) -> Iterator[None]:
        """Be in the middle of an upload inside the block; then disconnect."""
        head = (
            f"POST {self._media}/{media_id}/raw?preset=telephony HTTP/1.1\r\nHost: a\r\n"
            f"X-Auth-Token: {self.token}\r\nContent-Type: audio/wav\r\n"
            "Content-Length: 1000000\r\n\r\n"
        )
        address = urlsplit(self._product.rest_url)
        with socket.create_connection((address.hostname, address.port), timeout=20) as upload:
            upload.sendall(head.encode() + tone(2.0))
            wait_until(lambda: streaming(self._product) == 1, "the upload is being converted")
            yield


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    port = str(free_port())
    with Product(tmp_path_factory.mktemp("metrics"), workers="2", metrics_port=port) as running:
        yield running


class Since:
    """What has been counted since it was made."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._before = metrics_of(product)

    def counts(self, name: str) -> dict[tuple[str, ...], float]:
        """Return how much each sample of a name has grown; samples that have not are missing."""
        before = _samples(self._before, name)
        grown = {
            labels: value - before.get(labels, 0.0)
            for labels, value in counts(self._product, name).items()
        }
        return {labels: value for labels, value in grown.items() if value}


def test_calls_uploads_and_conversions_are_counted_by_how_they_ended(product: Product) -> None:
    audio, since = tone(1.0), Since(product)
    with closing(Tenant(product)) as tenant:
        tenant.create(_SECRETIVE)
        assert tenant.upload(_SECRETIVE, audio, "telephony") == 200
        assert tenant.upload(_SECRETIVE, audio, "kazoo") == 200
        assert tenant.upload(_SECRETIVE, b"%PDF-1.7 no audio", "telephony") == 400
        assert tenant.upload(_SECRETIVE, audio[:60], "telephony") == 200  # cannot be converted
        assert tenant.get(f"{_SECRETIVE}/raw") == 200
        with tenant.begun_upload(_SECRETIVE):
            pass
        uploads = "kazoo_media_uploads_total"
        wait_until(lambda: len(since.counts(uploads)) > 2, "the cut upload has ended")

        calls = since.counts("kazoo_media_requests_total")
        assert calls["201", "CreateMedia", "rest"] == 1
        assert calls["200", "UploadRaw", "rest"] == 3
        assert calls["400", "UploadRaw", "rest"] == 1
        assert calls["200", "DownloadRaw", "rest"] == 1
        stored = since.counts(uploads)
        assert stored.pop(("STORED",)) == 3
        assert stored.pop(("NOT_AUDIO",)) == 1
        assert list(stored.values()) == [1]
        conversions = since.counts("kazoo_media_conversions_total")
        assert conversions["inprocess", "telephony", "converted"] == 1
        assert conversions["sox", "kazoo", "converted"] == 1
        assert conversions["inprocess", "telephony", "retried"] == 1
        assert conversions["sox", "telephony", "failed"] == 1
        transferred = since.counts("kazoo_media_audio_bytes_total")
        assert transferred["in",] >= 2 * len(audio)
        assert transferred["out",] > 0
        assert not {product.account_id, _SECRETIVE} & words(metrics_of(product))


def test_refusals_stores_and_the_gateway_are_counted(product: Product) -> None:
    since = Since(product)
    with closing(Tenant(product)) as tenant:
        assert tenant.get("missing") == 404
        wrong = {"data": {"api_key": "0" * 64}}
        assert httpx.put(f"{product.rest_url}/v2/api_auth", json=wrong).status_code == 401
        ask_as_a_stranger(product)

        calls = since.counts("kazoo_media_requests_total")
        assert calls["404", "GetMedia", "rest"] == 1
        assert calls["401", "Authenticate", "rest"] == 1
        assert calls["UNAUTHENTICATED", "GetMedia", "grpc"] == 1
        refused = since.counts("kazoo_media_log_ins_refused_total")
        assert refused == {("INVALID_CREDENTIALS", "key"): 1}
        assert counts(product, "kazoo_media_commit_seconds_count")[()] > 0
        assert counts(product, "kazoo_media_sweeps_total")["done",] == 1
        assert since.counts("envoy_cluster_grpc_status_total") == {("16",): 1}
        assert counts(product, "envoy_cluster_membership_healthy") == {("workers",): 2}
        answered = since.counts("envoy_http_downstream_rq_xx_total")
        assert answered["rest", "4"] == 2


def test_everything_that_rules_and_the_dashboard_read_is_published(product: Product) -> None:
    with closing(Tenant(product)) as tenant:
        tenant.create("watched")
        assert tenant.upload("watched", tone(1.0), "telephony") == 200
        wrong = {"data": {"api_key": "0" * 64}}
        assert httpx.put(f"{product.rest_url}/v2/api_auth", json=wrong).status_code == 401
    published = {
        sample.name
        for family in text_string_to_metric_families(metrics_of(product))
        for sample in family.samples
    }
    assert watched_metrics() - published == set()


def ask_as_a_stranger(product: Product) -> None:
    with grpc.insecure_channel(product.grpc_target) as channel:
        request = GetMediaRequest(account_id=product.account_id, media_id="missing")
        with pytest.raises(grpc.RpcError):
            MediaServiceStub(channel).GetMedia(request, timeout=10)


def words(text: str) -> set[str]:
    return set(text.replace('"', " ").split())


def test_counters_and_no_places_in_queues_outlive_their_worker(product: Product) -> None:
    since = Since(product)
    with closing(Tenant(product)) as tenant:
        tenant.create("m")
        before = since.counts("kazoo_media_requests_total")
        assert before == {("201", "Authenticate", "rest"): 1, ("201", "CreateMedia", "rest"): 1}
        with tenant.begun_upload("m"):
            kill_both(product)
            wait_until(lambda: streaming(product) == 0, "the place is free")
        wait_until(lambda: tenant.get("m") == 200, "the service answers")
        restarts = since.counts("kazoo_media_process_restarts_total")
        assert restarts == {("worker-0",): 1, ("worker-1",): 1}
        after = since.counts("kazoo_media_requests_total")
        assert after == before | {("200", "GetMedia", "rest"): 1}
        kinds = {path.name.rpartition("_")[0] for path in metrics_files(product)}
        assert len(metrics_files(product)) <= 2 * len(kinds)


def kill_both(product: Product) -> None:
    """Kill both workers and wait until others run."""
    killed = {product.kill_worker(0), product.kill_worker(1)}

    def run_again() -> bool:
        return len({each.pid for each in product.workers().values()} - killed) == 2

    wait_until(run_again, "both workers run again")


def streaming(product: Product) -> float:
    return counts(product, "kazoo_media_queue_length").get(("streaming",), 0)


def test_without_envoy_the_workers_metrics_are_served(product: Product) -> None:
    assert counts(product, "kazoo_media_gateway_up") == {(): 1}
    product.envoy().kill()
    assert counts(product, "kazoo_media_sweeps_total")["done",] >= 1
    wait_until(lambda: counts(product, "kazoo_media_gateway_up") == {(): 1}, "Envoy is back")
    assert counts(product, "envoy_cluster_membership_healthy")


def test_a_standalone_worker_serves_its_own_metrics(tmp_path: Path) -> None:
    with StandaloneWorker(tmp_path, metrics_port=str(free_port())) as worker:
        ask_as_a_stranger(worker)
        calls = counts(worker, "kazoo_media_requests_total")
        assert calls == {("UNAUTHENTICATED", "GetMedia", "grpc"): 1}


def metrics_files(product: Product) -> list[Path]:
    return list((product.data_dir / "run" / "metrics").iterdir())
