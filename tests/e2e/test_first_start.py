"""A power cut during or after the first start: the order of write, fsync, rename, fsync folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import psutil
import pytest
from typing_extensions import override

from tests.support.product import Product, wait_until
from tests.support.standalone import StandaloneWorker

pytestmark = pytest.mark.e2e

_CALLS = "write,writev,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat,mkdir,mkdirat"
_COMMANDS: dict[str, type[Product]] = {"serve": Product, "worker": StandaloneWorker}
_OWN_FILES = ("metadata.sqlite", "signing-key.pem", "bootstrap.begun", "bootstrap.json")
_EMPTY_FILES = ("metadata.sqlite",)


def _traced(start: type[Product], folder: Path) -> list[str]:
    """Return the calls of a whole first start, in their order, as `name path [path]`."""
    if shutil.which("strace") is None:
        pytest.fail("strace is missing: `make setup` installs it")
    log = folder / "strace.log"

    class Traced(start):  # type: ignore[valid-type,misc]
        @override
        def command(self) -> list[str]:
            options = ["-f", "--seccomp-bpf", "-qq", "-y", "-s", "4096", "-e", f"trace={_CALLS}"]
            own: list[str] = super().command()
            return ["strace", *options, "-o", str(log), *own]

    product = Traced(folder / "parent")
    (folder / "parent").mkdir(mode=0o700)
    product.start()
    [traced] = psutil.Process(product.process.pid).children()
    traced.terminate()
    wait_until(lambda: not product.is_running(), "it ended")
    calls = []
    for line in log.read_text(errors="replace").splitlines():
        found = re.fullmatch(r"\d+ +(\w+)\((.*?)(?:\) += \d+.*| <unfinished \.\.\.>)", line)
        if found is None:
            continue
        name, rest = found.groups()
        paths = re.findall(re.escape(str(folder / "parent")) + r'([^>" ]*)', rest)
        if name == "write" and '"ready ' in rest:
            calls.append("ready")
        elif paths:
            calls.append(" ".join([name, *(path.lstrip("/") or "." for path in paths)]))
    return calls


@pytest.fixture(scope="module", params=_COMMANDS)
def calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return _traced(_COMMANDS[request.param], tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("name", _OWN_FILES)
def test_a_file_is_durable_before_its_name_and_its_name_before_the_next_step(
    calls: list[str], name: str
) -> None:
    draft = rf"data/{re.escape(name)}\.\w+\.draft"
    at = [i for i, call in enumerate(calls) if re.fullmatch(rf"\w+ {draft}( .*)?", call)]
    names = [calls[i].split()[0] for i in at]
    begins = names[: names.index("fsync")]
    assert begins == ([] if name in _EMPTY_FILES else ["write"])
    assert names[len(begins) :] == ["fsync", "link" if name in _LINKED else "rename"]
    assert calls[at[-1]].split()[-1] == f"data/{name}"
    assert "fsync data" in calls[at[-1] + 1 :][:3]  # another thread may be between
    assert at[-1] < calls.index("ready")
    assert not [i for i, call in enumerate(calls) if call == f"write data/{name}"]


_LINKED = ("metadata.sqlite", "signing-key.pem", "bootstrap.begun")
"""These do not replace the file of a worker that starts at the same time."""


@pytest.mark.parametrize("name", ["data", "data/blobs", "data/tmp"])
def test_the_name_of_a_folder_is_durable_in_its_parent(calls: list[str], name: str) -> None:
    parent = str(Path(name).parent)
    made = calls.index(f"mkdir {name}")
    assert f"fsync {parent}" in calls[made : calls.index("ready")]


def test_the_account_is_made_between_two_durable_files(calls: list[str]) -> None:
    begun = next(i for i, call in enumerate(calls) if call.endswith(" data/bootstrap.begun"))
    known = next(i for i, call in enumerate(calls) if call.endswith(" data/bootstrap.json"))
    between = calls[begun:known]
    assert between.index("fsync data") < between.index("pwrite64 data/metadata.sqlite-wal")
    assert {"fsync data/metadata.sqlite-wal", "fdatasync data/metadata.sqlite-wal"} & set(between)
