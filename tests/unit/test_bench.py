"""The benchmark's peer does the work that it is compared for."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.bench.audio import write_music
from tests.bench.peers.running import ACCOUNT_ID, running_starlette

MEDIA = f"/v2/accounts/{ACCOUNT_ID}/media"
MUSIC_BYTES = 3_000_000


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # tmp_path may be longer than a unix socket's path can be.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def peer(folder: Path) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(uds=str(folder / "app.sock"))
    with (
        running_starlette(folder) as (_, token),
        httpx.Client(
            transport=transport, base_url="http://peer", headers={"X-Auth-Token": token}
        ) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def music(folder: Path) -> bytes:
    write_music(folder / "music.wav", MUSIC_BYTES)
    return (folder / "music.wav").read_bytes()


def created(peer: httpx.Client) -> str:
    answer = peer.put(MEDIA, json={"data": {"name": "peer", "streamable": True}})
    assert answer.status_code == 201
    return str(answer.json()["data"]["id"])


def row(folder: Path, media_id: str) -> sqlite3.Row:
    with sqlite3.connect(folder / "media.db") as database:
        database.row_factory = sqlite3.Row
        found: sqlite3.Row = database.execute(
            "select * from media where media_id = ?", (media_id,)
        ).fetchone()
    database.close()
    return found


def test_the_peer_stores_an_upload_with_its_digest_and_gives_the_same_bytes_back(
    peer: httpx.Client, folder: Path, music: bytes
) -> None:
    media_id = created(peer)
    answer = peer.post(f"{MEDIA}/{media_id}/raw", content=music)
    assert answer.status_code == 200
    stored = row(folder, media_id)
    assert stored["sha256"] == hashlib.sha256(music).hexdigest()
    assert stored["size_bytes"] == len(music)
    assert (folder / "blobs" / stored["blob"]).read_bytes() == music
    download = peer.get(f"{MEDIA}/{media_id}/raw")
    assert download.headers["content-length"] == str(len(music))
    assert download.content == music


def test_the_peer_stores_what_sox_makes_of_a_normalized_upload(
    peer: httpx.Client, folder: Path, music: bytes
) -> None:
    media_id = created(peer)
    answer = peer.post(f"{MEDIA}/{media_id}/raw?normalize=1", content=music)
    assert answer.status_code == 200
    stored = row(folder, media_id)
    normalized = (folder / "blobs" / stored["normalized_blob"]).read_bytes()
    assert normalized[:2] == b"\xff\xe3"  # MPEG 2.5 layer III: 8 kHz
    assert stored["normalized_sha256"] == hashlib.sha256(normalized).hexdigest()
    assert stored["sha256"] == hashlib.sha256(music).hexdigest()


def test_the_peer_answers_metadata_from_its_database(peer: httpx.Client, folder: Path) -> None:
    media_id = created(peer)
    with sqlite3.connect(folder / "media.db") as database:
        database.execute("update media set document = json_set(document, '$.name', 'changed')")
    database.close()
    answer = peer.get(f"{MEDIA}/{media_id}")
    assert answer.json()["data"] == {"name": "changed", "streamable": True, "id": media_id}


def test_the_peer_lists_a_page_from_its_database(peer: httpx.Client, folder: Path) -> None:
    with sqlite3.connect(folder / "media.db") as database:
        database.execute("delete from media")  # what other tests have created
    database.close()
    media_ids = sorted(created(peer) for _ in range(52))
    answer = peer.get(MEDIA).json()
    assert answer["data"][0] == {"id": media_ids[0], "name": "peer", "is_prompt": False}
    assert [row["id"] for row in answer["data"]] == media_ids[:50]
    assert (answer["page_size"], answer["next_start_key"]) == (50, media_ids[50])


@pytest.mark.parametrize("token", ["", "x.y.z"])
def test_the_peer_refuses_a_request_without_a_good_token(peer: httpx.Client, token: str) -> None:
    media_id = created(peer)
    headers = {"X-Auth-Token": token}
    assert peer.get(f"{MEDIA}/{media_id}", headers=headers).status_code == 401
    other = MEDIA.replace(ACCOUNT_ID, "f" * 32)
    assert peer.get(f"{other}/{media_id}").status_code == 401


def test_generated_music_is_a_wav_file_of_exactly_the_size_asked_for(music: bytes) -> None:
    assert len(music) == MUSIC_BYTES
    assert music[:4] == b"RIFF"
    assert int.from_bytes(music[4:8], "little") == MUSIC_BYTES - 8
    assert int.from_bytes(music[40:44], "little") == MUSIC_BYTES - 44


def test_the_peer_refuses_a_token_from_before_the_key_was_replaced(
    peer: httpx.Client, folder: Path
) -> None:
    media_id = created(peer)
    with sqlite3.connect(folder / "media.db") as database:
        database.execute("update account set key_generation = key_generation + 1")
    assert peer.get(f"{MEDIA}/{media_id}").status_code == 401
    with database:
        database.execute("update account set key_generation = key_generation - 1")
    database.close()
