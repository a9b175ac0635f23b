"""Real prompts, where the folder `shared/audio` lies beside the checkout."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kazoo_media.v1 import media_service_pb2 as media_pb
from tests.e2e.clients import Tenant, command
from tests.support.product import Product

_PROMPTS = Path(__file__).parents[3] / "shared" / "audio" / "prompts"
_COUNTS = {"en-us": 172, "fr-fr": 156}

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not _PROMPTS.is_dir(), reason="there are no real prompts in ../shared/audio/prompts"
    ),
]


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    with (
        Product(tmp_path_factory.mktemp("prompts"), workers="2") as product,
        Tenant.log_in(product) as tenant,
    ):
        yield tenant


@pytest.fixture(scope="module")
def summaries(admin: Tenant) -> dict[str, dict[str, object]]:
    """Import every language and return the commands' summaries."""
    found = {}
    for language in _COUNTS:
        folder = str(_PROMPTS / language)
        found[language] = json.loads(
            command(admin.product, "prompts", "import", folder, language, "--json")
        )
    return found


def test_every_prompt_is_imported(summaries: dict[str, dict[str, object]]) -> None:
    for language, count in _COUNTS.items():
        summary = summaries[language]
        assert (summary["imported"], summary["overwritten"]) == (count, 0)
        assert summary["failed"] == []


@pytest.mark.usefixtures("summaries")
def test_prompts_are_counted_over_their_languages(admin: Tenant) -> None:
    answer = admin.http.get("/v2/media/prompts", params={"paginate": "false"})
    assert b'"vm-enter_pass":2' in answer.content
    names = [{path.stem for path in files(language)} for language in _COUNTS]
    expected = {name: sum(name in each for each in names) for name in set.union(*names)}
    assert answer.json()["data"] == [expected]


@pytest.mark.usefixtures("summaries")
def test_languages_are_counted(admin: Tenant) -> None:
    answer = admin.http.get("/v2/media/languages", params={"paginate": "false"})
    assert answer.json()["data"] == [_COUNTS]


@pytest.mark.usefixtures("summaries")
@pytest.mark.parametrize("language", _COUNTS)
def test_prompts_come_back_byte_for_byte(admin: Tenant, language: str) -> None:
    for path in files(language):
        answer = admin.http.get(f"/v2/media/{language}%2F{path.stem}/raw")
        assert answer.status_code == 200, answer.text
        assert answer.content == path.read_bytes()
    for path in files(language)[::8]:
        media_id = f"{language}/{path.stem}"
        request = media_pb.DownloadContentRequest(account_id="system", media_id=media_id)
        messages = admin.stub.DownloadContent(request, metadata=admin.metadata)
        assert b"".join(message.data for message in messages) == path.read_bytes()


def files(language: str) -> list[Path]:
    return sorted((_PROMPTS / language).glob("*.wav"))


def test_the_default_normalization_makes_what_sox_makes(admin: Tenant, tmp_path: Path) -> None:
    chosen = files("en-us")[::12]
    folder = tmp_path / "chosen"
    folder.mkdir()
    for path in chosen:
        (folder / path.name).symlink_to(path)
    sox = ["sox", "-t", "wav", "-", "-r", "8000", "-t", "mp3", "-"]
    admin.set_default("crossbar.media", "normalize_media", "true")
    with admin.new_tenant() as tenant:
        own = ("--account", tenant.account_id)
        command(admin.product, "prompts", "import", str(folder), "en-us", *own)
        for path in chosen:
            with path.open("rb") as audio:
                made = subprocess.run(sox, stdin=audio, capture_output=True, check=True).stdout
            assert tenant.download(f"en-us/{path.stem}") == made
