"""kazoo-v2, section 6: long lists pass in constant memory, and pages join while rows change."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import random
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from kazoo_media.metadata.engine import Session
from kazoo_media.metadata.sqlite_engine import SqliteEngine
from kazoo_media.metadata.transactions import insert_media
from kazoo_media.model import Media, first_revision
from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import ask, create
from tests.support.product import Product

pytestmark = pytest.mark.gateway

_ROWS = 50_000
_LIMIT_BYTES = 32 << 20


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Return the product with 50,000 media in its master account."""
    with Product(tmp_path_factory.mktemp("long")) as running:
        asyncio.run(_fill(running.data_dir / "metadata.sqlite", running.account_id))
        yield running


async def _fill(path: Path, account_id: str) -> None:
    document = {
        "name": "x" * 60,
        "description": "y" * 100,
        "language": "en-us",
        "media_source": "upload",
        "streamable": True,
        "tts": {"voice": "female/en-US"},
    }
    rows = [
        Media(account_id, f"{number:032x}", document, first_revision(), 1000, 1000)
        for number in range(_ROWS)
    ]
    engine = await asyncio.to_thread(partial(SqliteEngine, path, shared=True))

    def insert(db: Session) -> None:
        for row in rows:
            insert_media(db, row)

    await engine.write(insert)
    await engine.aclose()


def _token(product: Product) -> str:
    body = json.dumps({"data": {"api_key": product.api_key}}).encode()
    with closing(_connection(product)) as connection:
        connection.request("PUT", "/v2/api_auth", body)
        token: str = json.load(connection.getresponse())["auth_token"]
    return token


def _connection(product: Product) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(product.rest_url.removeprefix("http://"), timeout=60)


def _peak_growth(worker: psutil.Process, path: str, product: Product) -> tuple[int, bytes]:
    """Return by how much a worker's memory grew at most while it sent an answer, and that."""
    headers = {"x-auth-token": _token(product)}
    with closing(_connection(product)) as connection:
        before = worker.memory_info().rss
        Path(f"/proc/{worker.pid}/clear_refs").write_text("5")
        connection.request("GET", path, headers=headers)
        body = connection.getresponse().read()
    return _peak_bytes(worker) - before, body


def _peak_bytes(worker: psutil.Process) -> int:
    for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not tell the peak")


@pytest.mark.parametrize("more", ["", "&pretty_print=true", "&filter_language=EN-us"])
def test_fifty_thousand_rows_pass_in_constant_memory(product: Product, more: str) -> None:
    path = f"/v2/accounts/{product.account_id}/media?paginate=false{more}"
    grown, body = _peak_growth(product.workers()[0], path, product)
    envelope = json.loads(body)
    assert [row["id"] for row in envelope["data"]] == [f"{n:032x}" for n in range(_ROWS)]
    assert not {"page_size", "start_key", "next_start_key"} & set(envelope)
    colon, comma = (b": ", b',\n  "timestamp"') if "pretty" in more else (b":", b',"timestamp"')
    text = body.partition(b'"data"' + colon)[2].rpartition(comma)[0]
    assert envelope["revision"] == hashlib.md5(text).hexdigest()
    assert grown < _LIMIT_BYTES


def test_fifty_thousand_rows_are_one_answer_in_v1(product: Product) -> None:
    path = f"/v1/accounts/{product.account_id}/media?page_size=7"
    grown, body = _peak_growth(product.workers()[0], path, product)
    envelope = json.loads(body)
    assert [row["id"] for row in envelope["data"]] == [f"{n:032x}" for n in range(_ROWS)]
    assert not {"page_size", "start_key", "next_start_key"} & set(envelope)
    assert grown < _LIMIT_BYTES


def test_fifty_thousand_lines_of_csv_pass_in_constant_memory(product: Product) -> None:
    path = f"/v2/accounts/{product.account_id}/media?paginate=false&accept=csv"
    grown, body = _peak_growth(product.workers()[0], path, product)
    lines = body.decode().splitlines()
    assert len(lines) == _ROWS + 1
    assert lines[-1] == f"{_ROWS - 1:032x},{'x' * 60},upload,en-us,false,"
    assert grown < _LIMIT_BYTES


def test_fifty_thousand_ids_pass_in_constant_memory(product: Product) -> None:
    path = f"/v2/accounts/{product.account_id}/media/languages/EN-US?paginate=false"
    grown, body = _peak_growth(product.workers()[0], path, product)
    assert len(json.loads(body)["data"]) == _ROWS
    assert grown < _LIMIT_BYTES


def _pages(rest: Rest, tenant: Tenant, query: str) -> Iterator[list[str]]:
    start = ""
    while True:
        envelope = ask(rest, tenant, f"GET {{M}}{query}{start}").json
        data = envelope["data"]
        yield [row["id"] if isinstance(row, dict) else row for row in data]
        if "next_start_key" not in envelope:
            return
        start = f"&start_key={quote(envelope['next_start_key'], safe='')}"


@pytest.mark.parametrize(
    "query",
    [
        "?page_size=7",
        "?page_size=7&descending=true",
        "?page_size=3&filter_name=stable&has_key=name",
        "/languages/en-us?page_size=7",
    ],
)
def test_pages_join_while_rows_come_and_go(rest: Rest, tenant: Tenant, query: str) -> None:
    stable = [f"m{number:03d}" for number in range(0, 200, 4)]
    for media_id in stable:
        create(rest, tenant, id=media_id, name="stable")
    chance, done = random.Random(7), threading.Event()

    def churn() -> None:
        while not done.is_set():
            media_id = f"m{chance.randrange(50) * 4 + chance.randrange(1, 4):03d}"
            body = {"data": {"name": chance.choice(["stable", "x"]), "id": media_id}}
            ask(rest, tenant, "PUT {M}", body)
            gone = f"m{chance.randrange(50) * 4 + chance.randrange(1, 4):03d}"
            ask(rest, tenant, f"DELETE {{M}}/{gone}?hard_delete=true")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        seen = [each for page in _pages(rest, tenant, query) for each in page]
    finally:
        done.set()
        thread.join()
    assert seen == sorted(set(seen), reverse="descending" in query)
    assert set(stable) <= set(seen)


def test_a_page_begins_well_where_a_row_is_gone(rest: Rest, tenant: Tenant) -> None:
    for media_id in "abcdef":
        create(rest, tenant, id=media_id)
    seen: list[str] = []
    for page in _pages(rest, tenant, "?page_size=2"):
        seen += page
        if not page:  # the row that the page was to begin with, and all behind it, are gone
            break
        following = chr(ord(page[-1][0]) + 1)
        ask(rest, tenant, f"DELETE {{M}}/{following}?hard_delete=true")
        create(rest, tenant, id=f"{page[-1]}-later")
    assert seen[:2] == ["a", "b"]
    assert seen == sorted(set(seen))
    assert {"a", "b", "d"} <= set(seen)


def test_ten_thousand_prompts_are_counted(rest: Rest, tenant: Tenant) -> None:
    for start in range(0, 10_000, 500):
        rest.run(_insert_prompts(rest, tenant.id, range(start, start + 500)))
    whole = ask(rest, tenant, "GET {M}/prompts?paginate=false").json
    names = [f"vm-{number:05d}" for number in range(5_000)]
    assert whole["data"] == [dict.fromkeys(names, 2)]
    assert list(whole["data"][0]) == names
    page = ask(rest, tenant, "GET {M}/prompts").json
    assert (page["page_size"], page["next_start_key"]) == (50, "vm-00050")
    long = ask(rest, tenant, "GET {M}/prompts?page_size=4999&start_key=vm-00001").json
    assert (long["page_size"], "next_start_key" in long) == (4999, False)
    assert ask(rest, tenant, "GET {M}/languages").data == [{"de-de": 5_000, "fr-fr": 5_000}]
    ids = ask(rest, tenant, "GET {M}/languages/FR-fr?paginate=false").data
    assert ids == [f"fr-fr%2F{name}" for name in names]


async def _insert_prompts(rest: Rest, account_id: str, numbers: range) -> None:
    def prompt(number: int) -> Media:
        language = ("de-de", "fr-fr")[number % 2]
        prompt_id = f"vm-{number // 2:05d}"
        document = {"name": "x", "prompt_id": prompt_id, "language": language}
        return Media(account_id, f"{language}/{prompt_id}", document, first_revision(), 1000, 1000)

    # At once, they share a few transactions.
    await asyncio.gather(*(rest.metadata.insert_media(prompt(each)) for each in numbers))
