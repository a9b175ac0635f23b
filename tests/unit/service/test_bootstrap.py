"""bootstrap.json."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kazoo_media.config import Config, ConfigError
from kazoo_media.service.bootstrap import Bootstrap


@pytest.mark.parametrize(
    ("host", "rest_url", "grpc_target"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", "127.0.0.1:50051"),
        ("192.0.2.7", "http://192.0.2.7:8000", "192.0.2.7:50051"),
        ("0.0.0.0", "http://127.0.0.1:8000", "127.0.0.1:50051"),
        ("::", "http://[::1]:8000", "[::1]:50051"),
    ],
)
def test_addresses_are_reachable_from_this_machine(
    host: str, rest_url: str, grpc_target: str
) -> None:
    new = Bootstrap.new(Config.from_environ({"KAZOO_MEDIA_HOST": host}), "a", "k")
    assert (new.rest_url, new.grpc_target) == (rest_url, grpc_target)


def test_with_a_certificate_the_url_is_https(tmp_path: Path) -> None:
    file = tmp_path / "a.pem"
    file.touch()
    names = "KAZOO_MEDIA_TLS_CERT", "KAZOO_MEDIA_TLS_KEY"
    secure = Config.from_environ(dict.fromkeys(names, str(file)))
    assert Bootstrap.new(secure, "a", "k").rest_url == "https://127.0.0.1:8000"


def test_what_is_written_is_read_and_private(tmp_path: Path) -> None:
    written = Bootstrap.new(Config.from_environ({}), "account", "key")
    written.write(tmp_path)
    assert Bootstrap.read(tmp_path) == written
    assert stat.S_IMODE(Bootstrap.path(tmp_path).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["bootstrap.json"]


def test_no_file_is_no_bootstrap(tmp_path: Path) -> None:
    assert Bootstrap.read(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"account_id": "a"}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    path = Bootstrap.path(tmp_path)
    path.write_text(content)
    with pytest.raises(ConfigError, match=str(path)):
        Bootstrap.read(tmp_path)
