"""What the gRPC listener lets through."""

from __future__ import annotations

from typing import Any

import grpc
import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from kazoo_media.crossbar.v2 import crossbar_service_pb2
from tests.gateway.running import Gateway

pytestmark = pytest.mark.gateway

_HEALTH = "/grpc.health.v1.Health/Check"


@pytest.fixture
def channel(gateway: Gateway) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as opened:
        yield opened


def test_health_answers(channel: grpc.Channel) -> None:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_answers(channel: grpc.Channel) -> None:
    assert health_pb2.DESCRIPTOR.services_by_name["Health"].full_name in (
        ProtoReflectionDescriptorDatabase(channel).get_services()
    )


@pytest.mark.parametrize(
    "method",
    [m.name for m in crossbar_service_pb2.DESCRIPTOR.services_by_name["CrossbarService"].methods],
)
def test_the_rest_surface_is_not_reachable(channel: grpc.Channel, method: str) -> None:
    call: Any = channel.unary_unary(
        f"/kazoo_media.crossbar.v2.CrossbarService/{method}",
        response_deserializer=HttpBody.FromString,
    )
    with pytest.raises(grpc.RpcError) as failed:
        call(b"", timeout=10)
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_rest_path_is_not_served(gateway: Gateway) -> None:
    answer = httpx.get(f"http://127.0.0.1:{gateway.grpc_port}/v2/media")
    assert answer.status_code == 404


def test_what_is_no_call_is_refused(gateway: Gateway) -> None:
    url = f"http://127.0.0.1:{gateway.grpc_port}/kazoo_media.v1.MediaService/GetMedia"
    assert httpx.get(url).status_code == 405
    assert httpx.put(url, content=b"x" * 100_000).status_code == 405


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", None])
def test_what_a_web_page_may_send_without_asking_is_no_call(
    gateway: Gateway, content_type: str | None
) -> None:
    url = f"http://127.0.0.1:{gateway.grpc_port}{_HEALTH}"
    headers = {"content-type": content_type} if content_type else {}
    assert httpx.post(url, headers=headers, content=bytes(5)).status_code == 415


def test_a_request_id_comes_back(channel: grpc.Channel) -> None:
    call: Any = channel.unary_unary(
        _HEALTH, response_deserializer=health_pb2.HealthCheckResponse.FromString
    )
    _, details = call.with_call(b"", metadata=(("x-request-id", "mine"),), timeout=10)
    assert ("x-request-id", "mine") in details.initial_metadata()


def test_grpc_web_is_served_across_origins(gateway: Gateway) -> None:
    url = f"http://127.0.0.1:{gateway.grpc_port}{_HEALTH}"
    origin = {"origin": "https://ui.example"}
    wants = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-grpc-web",
    }
    preflight = httpx.options(url, headers={**origin, **wants})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] in ("*", "https://ui.example")
    assert "x-grpc-web" in preflight.headers["access-control-allow-headers"]
    web = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    answer = httpx.post(url, headers={**origin, **web}, content=b"\0\0\0\0\0")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/grpc-web+proto"
    assert answer.content.startswith(b"\0\0\0\0\2\x08\1")
    assert b"grpc-status:0" in answer.content
    assert "grpc-status" in answer.headers["access-control-expose-headers"]
