"""TLS on both ports, client certificates on the gRPC port."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.gateway.running import Gateway
from tests.product import wait_until

pytestmark = pytest.mark.gateway


class Certificate:
    """A self-signed certificate for 127.0.0.1, as files and as bytes."""

    def __init__(self, folder: Path, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.cert = certificate.public_bytes(serialization.Encoding.PEM)
        self.key = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self.cert_path, self.key_path = folder / f"{name}.crt", folder / f"{name}.key"
        self.cert_path.write_bytes(self.cert)
        self.key_path.write_bytes(self.key)


@pytest.fixture
def server(runtime: Path) -> Certificate:
    return Certificate(runtime, "server")


@pytest.fixture
def client(runtime: Path) -> Certificate:
    return Certificate(runtime, "client")


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
    files = {"tls_cert": str(server.cert_path), "tls_key": str(server.key_path)}
    context = ssl.create_default_context(cadata=server.cert.decode())
    with (
        Gateway(runtime, variables=files) as gateway,
        httpx.Client(base_url=gateway.rest_url, verify=context, http2=http2) as http,
    ):
        wait_until(lambda: is_live(http), "it is live")
        answer = http.get("/v2/media")
        assert answer.json()["metadata"]["x-forwarded-proto"] == ["https"]
        assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        check_health(gateway, grpc.ssl_channel_credentials(server.cert))


def test_the_grpc_port_wants_a_client_certificate_when_a_ca_is_given(
    runtime: Path, server: Certificate, client: Certificate
) -> None:
    files = {
        "tls_cert": str(server.cert_path),
        "tls_key": str(server.key_path),
        "tls_client_ca": str(client.cert_path),
    }
    context = ssl.create_default_context(cadata=server.cert.decode())
    with (
        Gateway(runtime, variables=files) as gateway,
        httpx.Client(base_url=gateway.rest_url, verify=context) as http,
    ):
        wait_until(lambda: is_live(http), "the REST port is live and wants none")
        check_health(gateway, grpc.ssl_channel_credentials(server.cert, client.key, client.cert))
        with pytest.raises(grpc.RpcError) as refused:
            check_health(gateway, grpc.ssl_channel_credentials(server.cert))
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
