"""The built product on a real PostgreSQL, which is restarted meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from kazoo_media.client import Client
from tests.contract.recording_driver import audio
from tests.e2e.refused import start
from tests.e2e.shell import Shell
from tests.e2e.test_recorder import SPEC, samples
from tests.support.audio_samples import tone
from tests.support.postgres import PostgresServer
from tests.support.product import Product, wait_until

pytestmark = pytest.mark.e2e


async def _record(client: Client, account_id: str, postgres: PostgresServer, folder: Path) -> str:
    """Return the id of a recording during which the database crashes; check its audio."""
    data = audio(40_000)
    async with client, client.recorder(account_id, "call", SPEC, folder) as recorder:
        recorder.write(data[:10_000])
        await recorder.flush()
        await asyncio.to_thread(postgres.stop, crash=True)
        recorder.write(data[10_000:30_000])
        await asyncio.to_thread(postgres.start)
        recorder.write(data[30_000:])
        media = await recorder.finish()
        assert media is not None
        assert await samples(client, account_id, media.id) == data
        return media.id


def test_what_is_stored_outlives_restarts_of_database_and_service(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    (tmp_path / "hold.wav").write_bytes(tone())
    url = postgres.url(postgres.make_database())
    shell = Shell(tmp_path / "data", tmp_path)
    shell.environment["KAZOO_MEDIA_METADATA_URL"] = url
    with Product(tmp_path, metadata_url=url, workers="2") as product:
        shell.ok("upload", "hold.wav", "hold", "--create", "Hold")
        client = Client(product.grpc_target, api_key=product.api_key)
        recorded = asyncio.run(_record(client, product.account_id, postgres, tmp_path / "spool"))
    assert not (tmp_path / "data" / "metadata.sqlite").exists()
    shell.ok("fsck", "--digests")
    with Product(tmp_path, metadata_url=url):
        listed = shell.ok("media", "list")
        assert "hold" in listed
        assert recorded in listed
        shell.ok("download", "hold", "again.wav")
    assert (tmp_path / "again.wav").read_bytes() == (tmp_path / "hold.wav").read_bytes()


def test_nodes_that_start_at_the_same_time_make_one_master_account(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.url(postgres.make_database())
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    nodes = [Product(folder, metadata_url=url) for folder in folders]
    try:
        for node in nodes:
            node.launch()
        for node in nodes:
            wait_until(node.is_ready, "a node is ready")
        [first] = [each for each in nodes if (each.data_dir / "bootstrap.json").exists()]
        key = {"data": {"api_key": first.api_key}}
        for node in nodes:
            rest = f"http://127.0.0.1:{node.variables['http_port']}"
            assert httpx.put(f"{rest}/v2/api_auth", json=key).status_code == 201
    finally:
        for node in nodes:
            node.stop()


def test_a_start_without_the_database_says_why_in_one_line(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.url("missing").replace("postgres@", "postgres:topsecret@")
    for variables, problem in (
        ({"metadata_url": url, "workers": "2"}, 'database "missing" does not exist'),
        ({"metadata_url": "mysql://u:topsecret@h/media"}, "***: must be postgresql://"),
    ):
        done = start(tmp_path, "serve", **variables)
        assert (done.exit_code, done.stdout) == (1, "")
        [line] = done.stderr.splitlines()
        assert line.startswith("kazoo-media serve: KAZOO_MEDIA_METADATA_URL")
        assert problem in line
        assert "topsecret" not in line
