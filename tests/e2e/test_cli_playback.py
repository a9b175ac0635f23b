"""The commands for links, resolved prompts and versions, against the built product."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from blockbuster import BlockBuster

from tests.e2e.shell import QuickShell, Shell
from tests.support.audio_samples import tone
from tests.support.product import Product

pytestmark = pytest.mark.e2e


@pytest.fixture
def shell(product: Product, tmp_path: Path, blocking_calls_fail: BlockBuster) -> Shell:
    return QuickShell(product.data_dir, tmp_path, blocking_calls_fail)


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


def test_an_earlier_content_and_a_deleted_media_are_put_back(shell: Shell) -> None:
    shell.ok("config", "set-default", "media", "kept_versions", "2")
    media_id = f"versions-{uuid4().hex}"
    first, second = tone(0.1), tone(0.2)
    for name, audio in (("first.wav", first), ("second.wav", second)):
        (shell.folder / name).write_bytes(audio)
    shell.ok("upload", "first.wav", media_id, "--create", "Versions")
    shell.ok("upload", "second.wav", media_id)
    number = shell.ok("media", "versions", media_id).splitlines()[1].split()[0]
    shell.ok("download", media_id, "old.wav", "--version", number)
    assert (shell.folder / "old.wav").read_bytes() == first
    shell.ok("media", "restore", media_id, "--version", number)
    shell.ok("media", "delete", media_id)
    assert media_id in shell.ok("media", "list", "--deleted")
    shell.ok("media", "restore", media_id)
    shell.ok("download", media_id, "now.wav")
    assert (shell.folder / "now.wav").read_bytes() == first
    shell.ok("config", "set-default", "media", "kept_versions", "1")


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
