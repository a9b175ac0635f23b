"""The wheel in an empty virtual environment: the client alone, as `pip install` brings it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.audio_samples import tone
from tests.support.product import Product

_ROOT = Path(__file__).parents[2]
_MOST_BYTES = 34_000_000

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("client")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [
        *pip,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(_ROOT),
    ]
    subprocess.run(wheel, check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    # The versions of the lock: the size that is tested is no other tomorrow.
    lock = (_ROOT / "requirements/serve.txt").read_text()
    versions = folder / "versions.txt"
    versions.write_text(re.sub(r" \\\n +--hash=\S+", "", lock))
    [built] = folder.glob("*.whl")
    install = [*pip, "--python", str(python), "install", "--no-compile", "-c", str(versions)]
    install.append(str(built))
    subprocess.run(install, check=True)
    return python.parent


def run(command: list[object]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, check=False, cwd="/"
    )


def test_the_client_alone_uploads_and_downloads(
    environment: Path, product: Product, tmp_path: Path
) -> None:
    audio = tmp_path / "tone.wav"
    audio.write_bytes(tone())
    access = ["--target", product.grpc_target, "--api-key", product.api_key]
    command = environment / "kazoo-media"
    uploaded = run([command, "upload", audio, "from-wheel", "--create", "From a wheel", *access])
    assert uploaded.returncode == 0, uploaded.stderr
    back = tmp_path / "back.wav"
    downloaded = run([command, "download", "from-wheel", back, *access])
    assert downloaded.returncode == 0, downloaded.stderr
    assert back.read_bytes() == audio.read_bytes()


def test_the_typed_client_is_there_with_its_types(environment: Path) -> None:
    code = "import kazoo_media.v1 as v1, kazoo_media.client; print(v1.__path__[0])"
    imported = run([environment / "python", "-c", code])
    assert imported.returncode == 0, imported.stderr
    assert (Path(imported.stdout.strip()) / "media_pb2.pyi").is_file()


@pytest.mark.parametrize(
    ("command", "extras"),
    [
        (["serve"], "server,gateway"),
        (["worker", "--listen", "127.0.0.1:0"], "server"),
        (["fsck"], "server"),
    ],
)
def test_a_command_of_the_server_says_what_to_install(
    environment: Path, product: Product, command: list[str], extras: str
) -> None:
    folder = f"KAZOO_MEDIA_DATA_DIR={product.data_dir}"
    ran = run(["env", folder, environment / "kazoo-media", *command])
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].endswith(f"pip install 'kazoo-media[{extras}]'")
    assert "Traceback" not in ran.stderr


def test_the_client_is_small(environment: Path) -> None:
    [packages] = environment.parent.glob("lib/python3*/site-packages")
    sizes = [each.stat().st_size for each in packages.rglob("*") if each.is_file()]
    assert sum(sizes) <= _MOST_BYTES
