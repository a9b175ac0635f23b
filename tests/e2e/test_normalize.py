"""`kazoo-media normalize` on the built product: stored audio becomes what the settings say now."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from blockbuster import BlockBuster

from kazoo_media.v1 import media_service_pb2 as media_pb
from tests.e2e.clients import Tenant, pending_blobs
from tests.e2e.shell import QuickShell, Shell
from tests.e2e.test_crashes import expect_clean
from tests.support.audio_samples import encoded, measure, tone
from tests.support.product import Product, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("normalize")
    with Product(folder, converters="sox,slow,gated") as running:
        yield running


@pytest.fixture
def shell(product: Product, tmp_path: Path, blocking_calls_fail: BlockBuster) -> Shell:
    return QuickShell(product.data_dir, tmp_path, blocking_calls_fail)


@pytest.fixture
def admin(product: Product) -> Iterator[Tenant]:
    """Give the master account, with normalization by the command of Kazoo."""
    with Tenant.log_in(product) as admin:
        admin.set_default("crossbar.media", "normalize_media", "true")
        admin.set_default("media", "normalize_preset", "kazoo")
        admin.set_default("media", "normalize_executable", "sox")
        yield admin


@pytest.fixture
def tenant(admin: Tenant) -> Iterator[Tenant]:
    """Give an account without media."""
    with admin.new_tenant() as tenant:
        yield tenant


def normalized(shell: Shell, *arguments: str) -> dict[str, Any]:
    """Return the summary of a run without failures."""
    return dict(json.loads(shell.ok("normalize", "--json", *arguments)))


@pytest.fixture
def visible() -> Iterator[Path]:
    """A folder that programs in the sandbox see, unlike those in /tmp."""
    with tempfile.TemporaryDirectory(dir=sys.prefix) as folder:
        yield Path(folder)


def converter(folder: Path, name: str, script: str) -> str:
    """Make a program that is a converter and return its path."""
    path = folder / name
    path.write_text(f'#!/bin/sh\n{script}\nexec sox "$@"\n')
    path.chmod(0o700)
    return str(path)


def kilobits_per_s(mp3: bytes) -> float:
    return len(mp3) * 8 / measure(mp3, "mp3").duration_s / 1000


def served(tenant: Tenant, media_id: str) -> bytes:
    audio = tenant.download(media_id)
    assert audio is not None
    return audio


def test_a_change_of_the_preset_is_applied_to_what_is_stored(shell: Shell, tenant: Tenant) -> None:
    audio = tone(3.0, rate=44_100)
    media_id = tenant.with_audio(audio)
    old = served(tenant, media_id)
    shell.ok("config", "set-default", "media", "normalize_preset", "telephony")

    table = shell.ok("normalize", "--account", tenant.account_id)

    new = served(tenant, media_id)
    assert table.splitlines()[0].split()[:4] == ["converted", "current", "no_audio", "failed"]
    assert table.splitlines()[1].split()[:4] == ["1", "0", "0", "0"]
    assert kilobits_per_s(old) == pytest.approx(8, rel=0.1)
    assert kilobits_per_s(new) == pytest.approx(32, rel=0.1)
    assert measure(new, "mp3").duration_s == pytest.approx(measure(old, "mp3").duration_s, abs=0.1)
    assert measure(new, "mp3").frequency_hertz == pytest.approx(440, abs=2)
    assert tenant.download(media_id, accept="audio/x-wav") == audio
    assert tenant.document(media_id)["normalization_preset"] == "telephony"
    summary = normalized(shell, "--account", tenant.account_id)
    assert (summary["converted"], summary["current"]) == (0, 1)
    assert normalized(shell, "--account", tenant.account_id, "--force")["converted"] == 1


def test_filters_choose_and_all_reaches_every_account_and_the_prompts(
    shell: Shell, admin: Tenant, tenant: Tenant
) -> None:
    language = f"x-{uuid4().hex[:8]}"
    (shell.folder / "prompts").mkdir()
    for name in ("one", "two"):
        (shell.folder / "prompts" / f"{name}.wav").write_bytes(tone(0.3))
    shell.ok("prompts", "import", "prompts", language)
    for name in (language, "other"):
        media_id = tenant.with_audio(tone(0.3))
        tenant.http.patch(tenant.path(media_id), json={"data": {"language": name}})
    tenant.create()
    admin.set_default("media", "normalize_preset", "wideband")
    chosen = ("--filter", f"language={language}")

    own = normalized(shell, "--account", tenant.account_id, *chosen)
    assert (own["converted"], own["current"], own["no_audio"]) == (1, 0, 0)
    everywhere = normalized(shell, "--all", *chosen)
    assert (everywhere["converted"], everywhere["current"]) == (2, 1)
    prompts = normalized(shell, "--account", "system", *chosen, "--filter", "prompt_id=one")
    assert (prompts["converted"], prompts["current"]) == (0, 1)
    rest = normalized(shell, "--account", tenant.account_id)
    assert (rest["converted"], rest["current"], rest["no_audio"]) == (1, 1, 1)


def test_what_fails_is_listed_with_the_reason_and_plays_as_before(
    shell: Shell, tenant: Tenant
) -> None:
    good, bad = tenant.with_audio(tone(0.5)), tenant.create()
    broken = encoded(tone(2.0), "flac")[:4000]
    tenant.http.post(
        tenant.path(bad, raw=True), content=broken, headers={"content-type": "audio/flac"}
    )
    before = tenant.document(bad)
    arguments = ("--account", tenant.account_id, "--preset", "telephony")
    code, out, _ = shell.run("normalize", *arguments)
    assert code == 1
    failure, summary = out.splitlines()[1], out.splitlines()[-1]
    assert failure.startswith(bad)
    assert "failed to communicate with conversion utility" in failure
    assert summary.split()[:4] == ["1", "0", "0", "1"]
    assert tenant.document(bad) == before
    assert tenant.download(bad) == broken
    assert tenant.document(good)["normalization_preset"] == "telephony"


def test_what_stops_every_media_is_said_once(shell: Shell, admin: Tenant, tenant: Tenant) -> None:
    for _ in range(3):
        tenant.with_audio(tone(0.2))
    own = ("--account", tenant.account_id)
    assert "preset" in shell.fails("normalize", *own, "--preset", "louder")
    assert "KEY=VALUE" in shell.fails("normalize", *own, "--filter", "language")
    assert "--account and --all" in shell.fails("normalize", *own, "--all")
    admin.set_default("crossbar.media", "normalize_media", "false")
    assert "normalization is off" in shell.fails("normalize", *own, "--force")
    key = shell.account()["api_key"]
    assert "superduper admin" in shell.fails("normalize", "--all", "--api-key", key)


def test_an_interrupted_run_goes_on_where_it_stopped(
    shell: Shell, product: Product, admin: Tenant, tenant: Tenant, visible: Path
) -> None:
    for _ in range(12):
        tenant.with_audio(tone(0.3))
    closed = visible / "closed"
    waiting = f"sleep 0.1; while [ -e {closed} ]; do sleep 0.05; done"
    slow = converter(visible, "slow", waiting)
    admin.set_default("media", "normalize_executable", slow)
    pending = pending_blobs(product)

    def made() -> int:
        request = media_pb.ListMediaRequest(account_id=tenant.account_id)
        listed = tenant.stub.ListMedia(request, metadata=tenant.metadata).media
        return sum(slow in each.renditions[1].normalization for each in listed)

    with shell.start("normalize", "--account", tenant.account_id, "--jobs", "1") as process:
        wait_until(lambda: made() >= 2, "some are converted")
        closed.touch()
        wait_until(lambda: pending_blobs(product) > pending, "the next one waits")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "Traceback" not in err
    wait_until(lambda: pending_blobs(product) == pending, "the conversion that ran was given up")
    closed.unlink()
    converted = made()
    assert 2 <= converted < 12
    summary = normalized(shell, "--account", tenant.account_id)
    assert (summary["converted"], summary["current"]) == (12 - converted, converted)


def test_a_worker_that_dies_meanwhile_leaves_the_old_audio_and_the_run_goes_on(
    shell: Shell, product: Product, admin: Tenant, tenant: Tenant, visible: Path
) -> None:
    media_id = tenant.with_audio(tone(1.0, rate=44_100))
    before = tenant.document(media_id), served(tenant, media_id)
    gate = visible / "gate"
    gated = converter(visible, "gated", f"while [ ! -e {gate} ]; do sleep 0.05; done")
    admin.set_default("media", "normalize_executable", gated)
    admin.set_default("media", "normalize_destination_args", "-r 8000 -C 32.7")

    process = shell.start("normalize", "--json", "--account", tenant.account_id)
    wait_until(lambda: pending_blobs(product) == 1, "it converts")
    product.kill_worker()
    wait_until(lambda: tenant.http.get(tenant.path(media_id)).status_code == 200, "it serves")
    assert (tenant.document(media_id), served(tenant, media_id)) == before
    gate.touch()
    out, err = process.communicate(timeout=40)

    assert process.returncode == 0, err
    assert json.loads(out)["converted"] == 1
    assert kilobits_per_s(served(tenant, media_id)) == pytest.approx(32, rel=0.1)
    product.stop()  # no test follows
    asyncio.run(expect_clean(product.data_dir))
