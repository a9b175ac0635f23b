"""The commands for links and resolved prompts, against the built product."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.e2e.shell import Shell
from tests.support.audio_samples import tone
from tests.support.product import Product

pytestmark = pytest.mark.e2e


@pytest.fixture
def shell(product: Product, tmp_path: Path) -> Shell:
    return Shell(product.data_dir, tmp_path)


def test_a_link_serves_audio_until_links_are_rotated(shell: Shell) -> None:
    audio, media_id = tone(0.1), f"linked-{uuid4().hex}"
    (shell.folder / "tone.wav").write_bytes(audio)
    shell.ok("upload", "tone.wav", media_id, "--create", "Linked")
    link = shell.ok("link", media_id).strip()
    assert httpx.get(link).content == audio
    assert shell.ok("link", media_id).strip() == link
    timed = shell.ok("link", media_id, "--rendition", "original", "--lifetime-s", "60").strip()
    assert httpx.get(timed).status_code == 200
    shell.ok("accounts", "rotate-links")
    assert httpx.get(link).status_code == 404
    assert "does not exist" in shell.fails("link", "missing")


def test_a_prompt_is_resolved(shell: Shell) -> None:
    prompts = shell.folder / "prompts"
    prompts.mkdir()
    name = f"vm-{uuid4().hex}"
    (prompts / f"{name}.wav").write_bytes(tone(0.1))
    shell.ok("prompts", "import", "prompts", "fr-fr")
    out = shell.ok("prompts", "resolve", name, "--language", "fr-CA")
    assert f"fr-ca/{name}" in out
    assert httpx.get(out.splitlines()[-1]).content == tone(0.1)
    found = json.loads(shell.ok("prompts", "resolve", name, "--language", "fr", "--json"))
    assert found["media_id"] == f"fr-fr/{name}"
    assert "can be used" in shell.fails("prompts", "resolve", name, "--format", "ogg")
