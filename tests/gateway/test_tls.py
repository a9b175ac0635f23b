"""TLS on both ports, client certificates on the gRPC port."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.gateway.probe import SERVICE
from tests.gateway.running import Gateway
from tests.support.certificates import Certificate, local_server
from tests.support.product import wait_until

pytestmark = pytest.mark.gateway

_HEADER = "x-forwarded-client-cert"


@pytest.fixture
def server(runtime: Path) -> Certificate:
    return local_server(runtime)


@pytest.fixture
def client(runtime: Path) -> Certificate:
    return Certificate(runtime, "client")


def tls_files(server: Certificate) -> dict[str, str]:
    return {"tls_cert": str(server.path), "tls_key": str(server.key_path)}


def check_health(gateway: Gateway, credentials: grpc.ChannelCredentials) -> None:
    with grpc.secure_channel(f"127.0.0.1:{gateway.grpc_port}", credentials) as channel:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)


def is_live(http: httpx.Client) -> bool:
    try:
        return http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("http2", [False, True])
def test_both_ports_speak_tls(runtime: Path, server: Certificate, *, http2: bool) -> None:
    files = tls_files(server)
    context = ssl.create_default_context(cadata=server.pem.decode())
    with (
        Gateway(runtime, variables=files) as gateway,
        httpx.Client(base_url=gateway.rest_url, verify=context, http2=http2) as http,
    ):
        wait_until(lambda: is_live(http), "it is live")
        answer = http.get("/v2/media")
        assert answer.json()["metadata"]["x-forwarded-proto"] == ["https"]
        assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        check_health(gateway, grpc.ssl_channel_credentials(server.pem))


def test_the_grpc_port_wants_a_client_certificate_when_a_ca_is_given(
    runtime: Path, server: Certificate, client: Certificate
) -> None:
    files = {**tls_files(server), "tls_client_ca": str(client.path)}
    context = ssl.create_default_context(cadata=server.pem.decode())
    with (
        Gateway(runtime, variables=files) as gateway,
        httpx.Client(base_url=gateway.rest_url, verify=context) as http,
    ):
        wait_until(lambda: is_live(http), "the REST port is live and wants none")
        check_health(gateway, grpc.ssl_channel_credentials(server.pem, client.key_pem, client.pem))
        with pytest.raises(grpc.RpcError) as refused:
            check_health(gateway, grpc.ssl_channel_credentials(server.pem))
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def certificates_seen(channel: grpc.Channel, *sent: str) -> str:
    """Return what a worker gets of a client's certificate when the client sends this header."""
    call: Any = channel.unary_unary(f"/{SERVICE}/unary_unary")
    seen: bytes = call(b"metadata", metadata=[(_HEADER, text) for text in sent], timeout=10)
    return seen.decode()


def spoofed(certificate: Certificate) -> str:
    return f'Hash=00;Cert="{quote(certificate.pem)}"'


def test_a_client_cannot_set_the_certificate_header(gateway: Gateway, client: Certificate) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel:
        assert "forwarded-client" not in certificates_seen(channel, spoofed(client))
    answer = httpx.get(f"{gateway.rest_url}/v2/media", headers={_HEADER: spoofed(client)})
    assert _HEADER not in answer.json()["metadata"]


def test_a_client_cannot_set_the_certificate_header_over_tls(
    runtime: Path, server: Certificate, client: Certificate
) -> None:
    context = ssl.create_default_context(cadata=server.pem.decode())
    context.load_cert_chain(client.path, client.key_path)
    own = grpc.ssl_channel_credentials(server.pem, client.key_pem, client.pem)
    with (
        Gateway(runtime, variables=tls_files(server)) as gateway,
        httpx.Client(base_url=gateway.rest_url, verify=context) as http,
        grpc.secure_channel(f"127.0.0.1:{gateway.grpc_port}", own) as channel,
    ):
        wait_until(lambda: is_live(http), "it is live")
        assert "forwarded-client" not in certificates_seen(channel, spoofed(client))
        answer = http.get("/v2/media", headers={_HEADER: spoofed(client)})
        assert _HEADER not in answer.json()["metadata"]


def test_with_a_ca_a_worker_gets_the_client_certificate(
    runtime: Path, server: Certificate, client: Certificate
) -> None:
    shown, other = Certificate(runtime, "shown", issuer=client), Certificate(runtime, "other")
    context = ssl.create_default_context(cadata=server.pem.decode())
    context.load_cert_chain(shown.path, shown.key_path)
    own = grpc.ssl_channel_credentials(server.pem, shown.key_pem, shown.pem)
    files = {**tls_files(server), "tls_client_ca": str(client.path)}
    with (
        Gateway(runtime, variables=files) as gateway,
        httpx.Client(base_url=gateway.rest_url, verify=context) as http,
        grpc.secure_channel(f"127.0.0.1:{gateway.grpc_port}", own) as channel,
    ):
        wait_until(lambda: is_live(http), "it is live")
        seen = certificates_seen(channel, spoofed(other), spoofed(other))
        assert (seen.count(_HEADER), seen.count("Cert=")) == (1, 1)
        assert quote(shown.pem.splitlines()[1], safe="") in seen
        answer = http.get("/v2/media", headers={_HEADER: spoofed(shown)})
        assert _HEADER not in answer.json()["metadata"]
