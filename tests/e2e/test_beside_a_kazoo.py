"""docs/clients.md: the proxy that sends media here and everything else to a Kazoo."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from kazoo_media.access.tokens import load_private_key
from tests.e2e.shell import Shell
from tests.support.audio_samples import noise
from tests.support.kazoo_stand_in import KID, KazooStandIn, public_pem_of
from tests.support.names import unique_name
from tests.support.nginx import nginx_server
from tests.support.product import Product, free_port

pytestmark = pytest.mark.e2e

_PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
_AUDIO = noise(30, rate=16000)


@dataclass(frozen=True)
class _Together:
    """The proxy, and the account that both sides have."""

    http: httpx.Client
    product: Product
    kazoo: KazooStandIn

    @property
    def account(self) -> str:
        return f"accounts/{self.kazoo.account_id}"

    def headers(self) -> dict[str, str]:
        """Return what a user interface sends after its log-in."""
        login = self.http.put("/v2/user_auth", json={"data": {}}).json()
        return {"x-auth-token": login["auth_token"]}


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Together]:
    folder, kazoo = tmp_path_factory.mktemp("beside"), KazooStandIn(secrets.token_hex(16))
    trusted = folder / "data" / "trusted_keys"
    trusted.mkdir(parents=True, mode=0o700)
    (trusted / f"{KID}.pem").write_text(kazoo.public_pem)
    port = free_port()
    with Product(folder) as product, kazoo.serving() as kazoo_port:
        Shell(product.data_dir, folder).ok(
            "accounts", "create", unique_name("Both"), "--id", kazoo.account_id
        )
        key = load_private_key(product.data_dir / "signing-key.pem")
        kazoo.trusted.append(public_pem_of(key))
        server = re.findall(r"```nginx\n(.*?)```", _PAGE, re.DOTALL)[0]
        here = product.rest_url.removeprefix("http://")
        for shown, real in (
            ("listen 8080", f"listen 127.0.0.1:{port}"),
            ("127.0.0.1:8000", here),
            ("127.0.0.1:8001", f"127.0.0.1:{kazoo_port}"),
        ):
            assert shown in server
            server = server.replace(shown, real)
        with (
            nginx_server(folder, server, port),
            httpx.Client(base_url=f"http://127.0.0.1:{port}") as http,
        ):
            yield _Together(http, product, kazoo)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_media_come_from_here_with_a_token_of_kazoo(together: _Together, version: str) -> None:
    http, headers = together.http, together.headers()
    media = f"/{version}/{together.account}/media"
    data = {"name": "P", "prompt_id": f"vm-{version}", "language": "fr-fr"}
    made = http.put(media, json={"data": data}, headers=headers)
    assert made.status_code == 201
    path = f"{media}/{made.json()['data']['id']}"
    assert path.endswith(f"/fr-fr%2Fvm-{version}")
    wav = {**headers, "content-type": "audio/x-wav"}
    assert http.post(f"{path}/raw", content=_AUDIO, headers=wav).status_code == 200
    assert http.get(f"{path}/raw", headers=headers).content == _AUDIO
    rows = http.get(f"{media}?paginate=false", headers=headers).json()["data"]
    assert f"fr-fr%2Fvm-{version}" in [row["id"] for row in rows]
    link = http.post(f"{path}/link", json={"data": {}}, headers=headers).json()["data"]["link"]
    assert http.get(link).content == _AUDIO
    assert http.get(f"/{version}/media", headers=headers).json()["data"] == []


@pytest.mark.parametrize("path", ["", "/users", "/mediation", "/devices/media", "/media_x"])
def test_everything_else_comes_from_kazoo(together: _Together, path: str) -> None:
    wanted = f"/v2/{together.account}{path}"
    answer = together.http.get(wanted, headers=together.headers())
    assert answer.json()["data"]["kazoo"] == wanted


def test_a_token_of_here_is_good_at_kazoo(together: _Together) -> None:
    path = f"/v2/{together.account}"
    api_key = {"data": {"api_key": together.product.api_key}}
    login = httpx.put(f"{together.product.rest_url}/v2/api_auth", json=api_key).json()
    own = {"x-auth-token": login["auth_token"]}
    answer = together.http.get(path, headers=own)
    assert answer.json()["data"]["account_id"] == together.product.account_id
    assert together.http.get(path, headers={"x-auth-token": "e.y.J"}).status_code == 401
