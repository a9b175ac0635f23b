"""Commands of the server where only the client is installed."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from kazoo_media.cli.app import app
from kazoo_media.cli.server_packages import server_packages


@pytest.mark.parametrize(
    ("command", "package", "extras"),
    [
        (["serve"], "structlog", "server,gateway"),
        (["gateway-worker", "--index", "0", "--socket", "s"], "uvloop", "server"),
    ],
)
def test_a_missing_package_ends_in_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, command: list[str], package: str, extras: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "kazoo_media.service.logs", raising=False)
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 1
    assert ran.stderr == (
        f"kazoo-media: `kazoo-media {command[0]}` needs the package {package}: "
        f"pip install 'kazoo-media[{extras}]'\n"
    )


def test_a_module_of_the_product_that_is_missing_is_a_fault_and_shows_as_one() -> None:
    with pytest.raises(ModuleNotFoundError), server_packages("serve", "server"):
        raise ModuleNotFoundError(name="kazoo_media.service.absent")
