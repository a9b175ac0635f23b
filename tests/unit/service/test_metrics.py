"""What is counted, and that the operator's table names it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from kazoo_media.metrics import Metrics
from kazoo_media.service.gateway_metrics import GatewayCollector, gateway_names
from kazoo_media.service.metrics import PrometheusMetrics, own_registry, published
from kazoo_media.service.process_metrics import ProcessCollector, alone

_DOCS = Path(__file__).parents[3] / "docs" / "operations.md"
_MADE_OF_OTHERS = ("turn", "timed")
_STATISTICS = """
# TYPE envoy_cluster_upstream_rq counter
envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="workers"} 3
# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{envoy_cluster_name="workers"} 5
# TYPE envoy_cluster_upstream_rq_retry counter
envoy_cluster_upstream_rq_retry{envoy_cluster_name="workers"} 2
# TYPE envoy_cluster_grpc_0 counter
envoy_cluster_grpc_0{envoy_cluster_name="workers"} 7
# TYPE envoy_cluster_grpc_16 counter
envoy_cluster_grpc_16{envoy_cluster_name="workers"} 1
# TYPE envoy_server_worker_watchdog_miss counter
envoy_server_worker_watchdog_miss{} 9
# TYPE envoy_server_memory_allocated gauge
envoy_server_memory_allocated{} 11
"""


class Envoy:
    """Answers with a text, or not at all."""

    def __init__(self, text: str | None) -> None:
        self._text = text

    def statistics(self, wanted: str) -> str:
        assert re.search(wanted, "cluster.workers.grpc.0")
        if self._text is None:
            raise ConnectionRefusedError
        return self._text


def samples(text: str | None) -> dict[str, float]:
    """Return the published samples of a gateway with these statistics."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(Envoy(text)))
    return shown(published(registry).decode())


def shown(text: str) -> dict[str, float]:
    """Return the samples in Prometheus text; those with labels as `name{value,...}`."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for each in family.samples:
            labels = ",".join(each.labels.values())
            found[f"{each.name}{{{labels}}}" if labels else each.name] = each.value
    return found


def test_useful_statistics_of_envoy_are_published_under_valid_names() -> None:
    assert samples(_STATISTICS) == {
        "kazoo_media_gateway_up": 1,
        "envoy_cluster_upstream_rq_total{workers}": 5,
        "envoy_cluster_upstream_rq_retry_total{workers}": 2,
        "envoy_cluster_grpc_status_total{0}": 7,
        "envoy_cluster_grpc_status_total{16}": 1,
        "envoy_server_memory_allocated": 11,
    }


def test_without_envoy_the_rest_is_published() -> None:
    assert samples(None) == {"kazoo_media_gateway_up": 0}


@pytest.fixture
def registry() -> CollectorRegistry:
    return own_registry()


def test_every_method_counts_something(registry: CollectorRegistry) -> None:
    metrics = PrometheusMetrics(registry)
    silent = [
        name
        for name in vars(Metrics)
        if not name.startswith("_")
        and name not in _MADE_OF_OTHERS
        and name not in vars(PrometheusMetrics)
    ]
    assert silent == []
    metrics.call_ended("rest", "GetMedia", "200")
    metrics.call_ended("rest", "GetMedia", "200")
    metrics.received(5)
    metrics.sent(6)
    metrics.waited("conversion", 0.2)
    metrics.committed(0.004)
    found = shown(published(registry).decode())
    assert found["kazoo_media_requests_total{200,GetMedia,rest}"] == 2
    assert found["kazoo_media_audio_bytes_total{in}"] == 5
    assert found["kazoo_media_audio_bytes_total{out}"] == 6
    assert found["kazoo_media_queue_wait_seconds_bucket{0.1,conversion}"] == 0
    assert found["kazoo_media_queue_wait_seconds_bucket{0.5,conversion}"] == 1
    assert found["kazoo_media_commit_seconds_bucket{0.005}"] == 1
    assert found["kazoo_media_commit_seconds_count"] == 1


def test_the_operators_table_lists_exactly_what_is_published(
    registry: CollectorRegistry, tmp_path: Path
) -> None:
    PrometheusMetrics(registry)
    registry.register(ProcessCollector(tmp_path, alone))
    families: Iterator[Metric] = iter(registry.collect())
    published_names = {each.name for each in families} | set(gateway_names())
    section = _DOCS.read_text().partition("\n## Metrics\n")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    listed = re.findall(r"`([a-z_0-9]+)`", " ".join(first_cells))
    assert sorted(each.removesuffix("_total") for each in listed) == sorted(published_names)
