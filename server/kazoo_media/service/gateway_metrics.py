"""The statistics of Envoy that operators need, as metrics with a help text.

Envoy has about 300; those of `_HELP` are published. Names are Envoy's, except that every counter
ends in `_total`, as Prometheus asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPException
from typing import Protocol

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from typing_extensions import override

FILTER = r"^(http\.(rest|grpc)|cluster\.workers|server|overload|envoy)\."
"""The statistics that are read; a regular expression over Envoy's own names."""

_HELP: Mapping[str, str] = {
    "envoy_http_downstream_cx": "Connections of clients, by port.",
    "envoy_http_downstream_cx_active": "Open connections of clients, by port.",
    "envoy_http_downstream_cx_rx_bytes": "Bytes from clients, by port.",
    "envoy_http_downstream_cx_tx_bytes": "Bytes to clients, by port.",
    "envoy_http_downstream_cx_protocol_error": "Connections that broke HTTP, by port.",
    "envoy_http_downstream_rq": "Requests, by port.",
    "envoy_http_downstream_rq_active": "Running requests, by port.",
    "envoy_http_downstream_rq_xx": "Answers by class of status, by port.",
    "envoy_http_downstream_rq_time": "Duration of requests in milliseconds, by port.",
    "envoy_http_downstream_rq_rx_reset": "Requests that clients reset, by port.",
    "envoy_http_downstream_rq_tx_reset": "Requests that Envoy reset, by port.",
    "envoy_http_downstream_rq_idle_timeout": "Requests ended because nothing moved, by port.",
    "envoy_http_downstream_rq_header_timeout": "Requests whose headers were too slow, by port.",
    "envoy_http_downstream_rq_overload_close": "Requests refused for want of memory, by port.",
    "envoy_cluster_membership_healthy": "Workers that answer health checks.",
    "envoy_cluster_upstream_cx_active": "Open connections to workers.",
    "envoy_cluster_upstream_cx_connect_fail": "Failed connections to workers.",
    "envoy_cluster_upstream_cx_rx_bytes": "Bytes from workers.",
    "envoy_cluster_upstream_cx_tx_bytes": "Bytes to workers.",
    "envoy_cluster_upstream_rq": "Calls to workers.",
    "envoy_cluster_upstream_rq_active": "Running calls to workers.",
    "envoy_cluster_upstream_rq_xx": "Answers of workers by class of status.",
    "envoy_cluster_upstream_rq_time": "Duration of calls to workers in milliseconds.",
    "envoy_cluster_upstream_rq_retry": "Calls repeated because a worker ended.",
    "envoy_cluster_upstream_rq_rx_reset": "Calls that workers broke off.",
    "envoy_cluster_grpc": "Calls on the gRPC port.",
    "envoy_cluster_grpc_success": "Calls on the gRPC port that ended with OK.",
    "envoy_cluster_grpc_failure": "Calls on the gRPC port that ended with another status.",
    "envoy_cluster_grpc_request_message_count": "Messages from clients on the gRPC port.",
    "envoy_cluster_grpc_response_message_count": "Messages to clients on the gRPC port.",
    "envoy_server_memory_allocated": "Bytes that Envoy has allocated.",
    "envoy_server_memory_physical_size": "Bytes of memory that Envoy holds.",
    "envoy_server_uptime": "Seconds since the start of Envoy.",
    "envoy_overload_envoy_resource_monitors_fixed_heap_pressure": (
        "Percent of KAZOO_MEDIA_ENVOY_HEAP_MIB that is in use."
    ),
    "envoy_overload_envoy_overload_actions_stop_accepting_requests_active": (
        "1 while Envoy refuses requests for want of memory."
    ),
    "envoy_envoy_overload_actions_reset_high_memory_stream_count": (
        "Transfers that Envoy reset for want of memory."
    ),
}
"""By the name without `_total`."""

_GRPC_STATUS = re.compile(r"envoy_cluster_grpc_(\d+)")


def gateway_names() -> list[str]:
    """Return the names of all metrics of the gateway, those of counters without `_total`."""
    return ["kazoo_media_gateway_up", "envoy_cluster_grpc_status", *_HELP]


class Statistics(Protocol):
    """Where Envoy's statistics come from."""

    def statistics(self, wanted: str) -> str:
        """Return the statistics whose names match, as Prometheus text.

        Raises:
            OSError: Envoy does not answer.
        """


class GatewayCollector(Collector):
    """Reads Envoy's statistics whenever the metrics are asked for."""

    def __init__(self, envoy: Statistics) -> None:
        self._envoy = envoy

    @override
    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("kazoo_media_gateway_up", "1 if Envoy answers, else 0.")
        try:
            text = self._envoy.statistics(FILTER)
        except (
            OSError,
            HTTPException,
        ):  # it is being started again; the workers' metrics are there
            text = ""
        up.add_metric((), 1 if text else 0)
        yield up
        yield from _selected(text_string_to_metric_families(text))


def _selected(families: Iterable[Metric]) -> Iterator[Metric]:
    statuses = CounterMetricFamily(
        "envoy_cluster_grpc_status", "Calls on the gRPC port by code.", labels=("code",)
    )
    for family in families:
        status = _GRPC_STATUS.fullmatch(family.name)
        if status:
            statuses.add_metric((status[1],), sum(each.value for each in family.samples))
        elif family.name in _HELP and not _is_by_code(family):
            family.documentation = _HELP[family.name]
            yield family
    yield statuses


def _is_by_code(family: Metric) -> bool:
    # With `_total` appended, Envoy's `upstream_rq` would be a second `upstream_rq_total`.
    return any("envoy_response_code" in each.labels for each in family.samples)
