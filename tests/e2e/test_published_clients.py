"""Published clients, unmodified, against the built product: kazoo-sdk from PyPI, and curl."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.audio_samples import tone
from tests.support.names import unique_name
from tests.support.product import Product

pytestmark = pytest.mark.e2e

_SDK = "kazoo-sdk==0.2.4"
_AUDIO = tone(2.0)

Curl = Callable[..., bytes]


@pytest.fixture(scope="session")
def sdk_python(pytestconfig: pytest.Config) -> Path:
    """Return the interpreter of an environment that has the SDK; it is made once and kept."""
    assert pytestconfig.cache is not None
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    folder = pytestconfig.cache.mkdir(f"{_SDK}-py{version}")
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True, clear=True)
        command: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            _SDK,
        ]
        subprocess.run(command, check=True)
        (folder / "installed").touch()
    return python


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    path.write_bytes(_AUDIO)
    return path


@pytest.fixture
def account(product: Product) -> dict[str, str]:
    """Return a new account: `id` and `api_key`."""
    command = [sys.executable, "-m", "kazoo_media", "accounts", "create", unique_name("Acme")]
    command += ["--json"]
    environment = os.environ | {"KAZOO_MEDIA_DATA_DIR": str(product.data_dir)}
    made: dict[str, str] = json.loads(subprocess.check_output(command, env=environment))
    return made


@pytest.fixture
def token(product: Product, account: dict[str, str]) -> str:
    body = json.dumps({"data": {"api_key": account["api_key"]}})
    command = ["curl", "-sS", "-X", "PUT", "-d", body, f"{product.rest_url}/v2/api_auth"]
    return str(json.loads(subprocess.check_output(command))["auth_token"])


@pytest.fixture
def media(product: Product, account: dict[str, str]) -> str:
    """Return the URL of the account's media."""
    return f"{product.rest_url}/v2/accounts/{account['id']}/media"


@pytest.fixture
def curl(token: str, tmp_path: Path) -> Curl:
    """Return what runs curl with a token and gives its output."""

    def run(*arguments: str, code: int = 0) -> bytes:
        command = ["curl", "-sS", "-H", f"X-Auth-Token: {token}", *arguments]
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=30, check=False)
        assert done.returncode == code, (command, done.stdout, done.stderr)
        return done.stdout

    return run


@pytest.fixture
def media_url(curl: Curl, media: str, audio: Path) -> str:
    """Return the URL of a media with audio."""
    url = f"{media}/{_created(curl, media)['id']}"
    curl("-H", "Content-Type: audio/x-wav", "--data-binary", f"@{audio}", f"{url}/raw")
    return url


@pytest.mark.timeout(180)
def test_the_python_sdk(
    product: Product, sdk_python: Path, account: dict[str, str], audio: Path
) -> None:
    script = Path(__file__).with_name("sdk_tour.py")
    command: list[str | Path] = [
        sdk_python,
        script,
        f"{product.rest_url}/v2",
        account["api_key"],
        audio,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["token parts"] == 3
    assert seen["created"]["name"] == "Greeting"
    assert seen["created"]["media_source"] == "upload"
    assert seen["listed"] is True
    assert seen["got"] == "Greeting"
    assert seen["updated"]["name"] == "Welcome"
    assert seen["updated"]["ui_metadata"] == {"ui": "sdk"}
    assert seen["empty upload"] == {
        "file": {"required": {"message": "Please provide an media file"}}
    }
    assert seen["uploaded"] == [True, "audio/x-wav", len(_AUDIO)]
    assert seen["refused"] == {
        "name": {"required": {"message": "Field is required but missing", "value": "name"}}
    }
    assert seen["deleted"] == "success"
    assert seen["gone"] == "bad_identifier"
    assert seen["logged in again"] == []
    assert seen["unknown key"] == "Invalid credentials"


def test_curl_d_sends_json_as_a_form(curl: Curl, media: str) -> None:
    """Curl says application/x-www-form-urlencoded, as in every command of the published page."""
    assert _created(curl, media)["name"] == "Tone"


def test_curl_data_binary_uploads_and_downloads(curl: Curl, media_url: str, audio: Path) -> None:
    sent = curl("-H", "Content-Type: audio/wav", "--data-binary", f"@{audio}", media_url)
    assert json.loads(sent)["data"]["content_length"] == len(_AUDIO)
    assert curl("-H", "Accept: audio/wav", media_url) == _AUDIO
    assert curl(f"{media_url}/raw") == _AUDIO


def test_curl_f_uploads_a_form_file(curl: Curl, media_url: str, audio: Path) -> None:
    sent = json.loads(curl("-F", f"media=@{audio};type=audio/x-wav", f"{media_url}/raw"))
    assert sent["data"]["content_type"] == "audio/x-wav"
    assert curl(f"{media_url}/raw") == _AUDIO


def test_curl_uploads_without_a_length(curl: Curl, media_url: str) -> None:
    command = ["-X", "POST", "-H", "Content-Type: audio/wav", "-H", "Transfer-Encoding: chunked"]
    sent = json.loads(curl(*command, "--data-binary", "@tone.wav", f"{media_url}/raw"))
    assert sent["status"] == "success"


def test_curl_r_gets_a_part(curl: Curl, media_url: str) -> None:
    assert curl("-r", "10-19", f"{media_url}/raw") == _AUDIO[10:20]
    assert curl("-r", "-7", f"{media_url}/raw") == _AUDIO[-7:]
    assert curl("-r", "-7", "-w", "%{http_code}", "-o", "part", f"{media_url}/raw") == b"206"


def test_curl_i_gets_the_headers(curl: Curl, media_url: str) -> None:
    head = curl("-I", "--compressed", f"{media_url}/raw").decode()
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert f"content-length: {len(_AUDIO)}\r\n" in head
    assert "content-type: audio/x-wav\r\n" in head
    assert curl("-I", "--compressed", media_url).startswith(b"HTTP/1.1 200 OK\r\n")


def test_curl_c_resumes_a_download(curl: Curl, media_url: str, tmp_path: Path) -> None:
    part = tmp_path / "part.wav"
    part.write_bytes(_AUDIO[:5000])
    curl("-C", "-", "-o", "part.wav", f"{media_url}/raw")
    assert hashlib.sha256(part.read_bytes()).digest() == hashlib.sha256(_AUDIO).digest()


def test_curl_deletes(curl: Curl, media_url: str) -> None:
    assert json.loads(curl("-X", "DELETE", media_url))["data"]["_read_only"] == {"deleted": True}
    gone = curl("-w", "%{http_code}", "-o", "gone", "-X", "DELETE", media_url)
    assert gone == b"404"


def _created(curl: Curl, media: str) -> dict[str, Any]:
    reply = json.loads(curl("-X", "PUT", "-d", '{"data":{"name":"Tone"}}', media))
    assert reply["status"] == "success", reply
    document: dict[str, Any] = reply["data"]
    return document
