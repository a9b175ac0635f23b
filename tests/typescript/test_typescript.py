"""Generated TypeScript clients, and tus-js-client, unmodified. `make test-typescript`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.audio_samples import tone
from tests.support.cutting_proxy import CuttingProxy
from tests.support.product import Product

pytestmark = pytest.mark.e2e

_ROOT = Path(__file__).parents[2]
_SOURCES = ("package.json", "package-lock.json", ".npmrc", "tsconfig.json", "*.ts")
_AUDIO = tone(seconds=20)
_SEED = 20261130
_TUS_UPLOADS = 50


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("product")) as running:
        yield running


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, product: Product) -> Path:
    """Return the folder in which all clients are generated and compiled."""
    folder = tmp_path_factory.mktemp("typescript")
    for pattern in _SOURCES:
        for path in Path(__file__).parent.glob(pattern):
            shutil.copy(path, folder)
    run(["npm", "ci", "--no-audit", "--no-fund"], folder)
    programs = folder / "node_modules/.bin"
    buf = Path(sys.executable).with_name("buf")
    run([buf, "generate", "-o", folder], _ROOT / "proto", programs)
    with urllib.request.urlopen(f"{product.rest_url}/v2/openapi.json") as answer:
        (folder / "openapi.json").write_bytes(answer.read())
    hey_api = ["--input", "openapi.json", "--output", "generated/hey-api", "--no-log-file"]
    run([programs / "openapi-ts", *hey_api, "--client", "@hey-api/client-fetch"], folder)
    run([programs / "openapi-typescript", "openapi.json", "-o", "generated/rest.ts"], folder)
    run([programs / "tsc"], folder)
    (folder / "tone.wav").write_bytes(_AUDIO)
    return folder


@pytest.mark.timeout(300)
def test_a_grpc_client(built: Path, product: Product) -> None:
    access = [product.grpc_target, product.api_key, product.account_id]
    output = run(["node", "build/call.js", *access, "tone.wav"], built)
    assert output == f"audio/x-wav {len(_AUDIO)}\n"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("client", ["rest_hey_api", "rest_openapi_fetch"])
def test_a_rest_client(built: Path, product: Product, client: str) -> None:
    access = [product.rest_url, product.api_key]
    output = run(["node", f"build/{client}.js", *access, "tone.wav"], built)
    assert output == f"audio/x-wav {len(_AUDIO)} bad_identifier\n"


@pytest.mark.timeout(300)
def test_tus_js_client_gets_through_a_network_that_cuts(built: Path, product: Product) -> None:
    port = urlsplit(product.rest_url).port
    assert port is not None
    with CuttingProxy(port, _SEED, most_cuts=4 * _TUS_UPLOADS, most_bytes=120_000) as proxy:
        urls = [product.rest_url, f"http://127.0.0.1:{proxy.port}"]
        command = ["node", "build/tus_uploads.js", *urls, product.api_key, "tone.wav", _TUS_UPLOADS]
        assert run(command, built) == f"{_TUS_UPLOADS} uploads\n"
        assert proxy.cuts > _TUS_UPLOADS


def run(command: list[object], folder: Path, plugins: Path | None = None) -> str:
    path = os.pathsep.join([*([str(plugins)] if plugins else []), os.environ["PATH"]])
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
