"""Commands of the server where only the client is installed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from kazoo_media.cli.app import application
from kazoo_media.cli.server_packages import server_packages


@pytest.mark.parametrize(
    ("command", "package", "extras"),
    [
        (["serve"], "structlog", "server,gateway"),
        (["worker", "--listen", "127.0.0.1:0"], "structlog", "server"),
    ],
)
def test_a_missing_package_ends_in_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, command: list[str], package: str, extras: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "kazoo_media.service.logs", raising=False)
    ran = CliRunner().invoke(application(command[0]), command)
    assert ran.exit_code == 1
    assert ran.stderr == (
        f"kazoo-media: `kazoo-media {command[0]}` needs the package {package}: "
        f"pip install 'kazoo-media[{extras}]'\n"
    )


def test_a_module_of_the_product_that_is_missing_is_a_fault_and_shows_as_one() -> None:
    with pytest.raises(ModuleNotFoundError), server_packages("serve", "server"):
        raise ModuleNotFoundError(name="kazoo_media.service.absent")


def test_serve_imports_neither_the_client_nor_what_it_does_not_show() -> None:
    code = (
        "import sys; from kazoo_media.cli.app import application; application('serve');"
        "import kazoo_media.service.logs, kazoo_media.service.supervisor;"
        "print(*{'grpc', 'rich', 'prometheus_client'} & set(sys.modules))"
    )
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert imported.stdout.split() == []
