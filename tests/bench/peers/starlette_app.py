"""The peer: the same media service as a Starlette application, written to be fast.

It does the core work of the product: RS256 token with a cache, upload hashed and written to a file
while it arrives, optionally through sox to a second one at the same time, fsync of file and folder,
one durable SQLite transaction, metadata by one indexed read, download from disk. It omits the rest
(prompts, languages, limits, resumption, recognition of formats), which makes it a harder peer.

    python -m tests.bench.peers.starlette_app FOLDER SOCKET ACCOUNT_ID

FOLDER holds `public.pem`, the key that tokens are verified with; the account is made.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import orjson
import uvicorn
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

_BATCH_BYTES = 1024 * 1024
_PIPE = asyncio.subprocess.PIPE
_PAGE_SIZE = 50
_NO_PAGING: Mapping[str, object] = {}
_SOX = ("sox", "-t", "wav", "-", "-r", "8000", "-t", "mp3", "-")
_SCHEMA = """
pragma journal_mode = wal;
pragma synchronous = full;
create table if not exists media (
    account_id text not null, media_id text not null, document text not null,
    blob text, size_bytes integer, sha256 text, normalized_blob text, normalized_sha256 text,
    primary key (account_id, media_id)
) without rowid;
create table if not exists account (
    account_id text primary key, key_generation integer not null
) without rowid;
"""


class Rows:
    """Media rows in SQLite: written on one thread, read on the loop."""

    def __init__(self, path: Path, account_id: str) -> None:
        self._writer = apsw.Connection(str(path))
        self._writer.execute(_SCHEMA).fetchall()
        self._writer.execute(
            "insert or ignore into account values (?, 1)", (account_id,)
        ).fetchall()
        self._reader = apsw.Connection(str(path))
        self._thread = ThreadPoolExecutor(1)

    async def write(self, sql: str, bindings: tuple[object, ...]) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._run, sql, bindings)

    def read(self, columns: str, account_id: str, media_id: str) -> tuple[str, ...]:
        """Return one row, read on the loop as the product does: by its key it takes microseconds.

        Raises:
            HTTPException: the row does not exist.
        """
        sql = f"select {columns} from media where account_id = ? and media_id = ?"
        row = self._reader.execute(sql, (account_id, media_id)).fetchone()
        if row is None:
            raise HTTPException(404)
        return tuple(row)

    def page(self, account_id: str, size: int) -> list[tuple[str, str]]:
        """Return ids and documents of the first media of an account."""
        sql = "select media_id, document from media where account_id = ? order by media_id limit ?"
        rows = self._reader.execute(sql, (account_id, size))
        return [(str(media_id), str(document)) for media_id, document in rows]

    def key_generation(self, account_id: str) -> int | None:
        """Return the key generation of an account's valid tokens; None: no such account."""
        sql = "select key_generation from account where account_id = ?"
        row = self._reader.execute(sql, (account_id,)).fetchone()
        return None if row is None else int(row[0])

    def _run(self, sql: str, bindings: tuple[object, ...]) -> None:
        self._writer.execute(sql, bindings).fetchall()


class StoredFile:
    """A file that is hashed and written on a thread while the next bytes arrive."""

    def __init__(self, folder: Path) -> None:
        self.name = secrets.token_hex(16)
        self.size_bytes = 0
        self.sha256 = hashlib.sha256()
        self._final = folder / self.name
        self._draft = folder / f"{self.name}.part"
        self._file = self._draft.open("wb", buffering=0)
        self._pending: asyncio.Future[None] | None = None

    async def write(self, batch: bytearray) -> None:
        """Start to store a batch once the previous one is stored."""
        await self.settle()
        self.size_bytes += len(batch)
        self._pending = asyncio.get_running_loop().run_in_executor(None, self._store, batch)

    async def settle(self) -> None:
        if self._pending is not None:
            await self._pending

    async def publish(self) -> None:
        await self.settle()
        await asyncio.to_thread(self._publish)

    async def discard(self) -> None:
        await self.settle()
        self._file.close()
        self._draft.unlink(missing_ok=True)

    def _store(self, batch: bytearray) -> None:
        self.sha256.update(batch)
        self._file.write(batch)

    def _publish(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        self._draft.rename(self._final)
        folder = os.open(self._final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class LargeFileResponse(FileResponse):
    """Starlette's own response, with reads large enough that the thread hop does not show."""

    chunk_size = _BATCH_BYTES


class Service:
    """The routes."""

    def __init__(self, folder: Path, account_id: str) -> None:
        self._blobs = folder / "blobs"
        self._blobs.mkdir(exist_ok=True)
        self._rows = Rows(folder / "media.db", account_id)
        self._key = RSAKey.import_key((folder / "public.pem").read_text())
        self._verified: dict[str, tuple[str, int, int]] = {}

    def application(self) -> Starlette:
        media = "/v2/accounts/{account_id}/media"
        return Starlette(
            routes=[
                Route(media, self.create, methods=["PUT"]),
                Route(media, self.page, methods=["GET"]),
                Route(media + "/{media_id}", self.show, methods=["GET"]),
                Route(media + "/{media_id}/raw", self.download, methods=["GET"]),
                Route(media + "/{media_id}/raw", self.upload, methods=["POST"]),
            ]
        )

    async def create(self, request: Request) -> Response:
        account_id = self._account_of(request)
        document = orjson.loads(await request.body())["data"]
        document["id"] = secrets.token_hex(16)
        sql = "insert into media (account_id, media_id, document) values (?, ?, ?)"
        text = orjson.dumps(document).decode()
        await self._rows.write(sql, (account_id, document["id"], text))
        return _envelope(request, document, 201)

    async def show(self, request: Request) -> Response:
        account_id = self._account_of(request)
        (text,) = self._rows.read("document", account_id, request.path_params["media_id"])
        return _envelope(request, orjson.loads(text))

    async def page(self, request: Request) -> Response:
        """List a page of the account's media, in the order of their ids, as the product does."""
        found = self._rows.page(self._account_of(request), _PAGE_SIZE + 1)
        rows = [_listed(media_id, orjson.loads(text)) for media_id, text in found[:_PAGE_SIZE]]
        paging: dict[str, object] = {"page_size": len(rows)}
        if len(found) > _PAGE_SIZE:
            paging["next_start_key"] = found[_PAGE_SIZE][0]
        return _envelope(request, rows, paging=paging)

    async def download(self, request: Request) -> Response:
        account_id = self._account_of(request)
        blob, sha256 = self._rows.read("blob, sha256", account_id, request.path_params["media_id"])
        headers = {"etag": f'"{sha256}"'}
        return LargeFileResponse(self._blobs / blob, headers=headers, media_type="audio/x-wav")

    async def upload(self, request: Request) -> Response:
        """Store the body; with `?normalize` also the output of sox, which is fed meanwhile."""
        account_id = self._account_of(request)
        media_id = request.path_params["media_id"]
        (text,) = self._rows.read("document", account_id, media_id)
        original = StoredFile(self._blobs)
        normalized = StoredFile(self._blobs) if "normalize" in request.query_params else None
        try:
            await self._receive(request, original, normalized)
        except BaseException:
            await original.discard()
            if normalized is not None:
                await normalized.discard()
            raise
        await original.publish()
        document = orjson.loads(text)
        document["content_length"] = original.size_bytes
        facts = [original.name, original.size_bytes, original.sha256.hexdigest(), None, None]
        if normalized is not None:
            await normalized.publish()
            facts[3:] = [normalized.name, normalized.sha256.hexdigest()]
        sql = (
            "update media set document = ?, blob = ?, size_bytes = ?, sha256 = ?, "
            "normalized_blob = ?, normalized_sha256 = ? where account_id = ? and media_id = ?"
        )
        await self._rows.write(sql, (orjson.dumps(document).decode(), *facts, account_id, media_id))
        return _envelope(request, document)

    async def _receive(
        self, request: Request, original: StoredFile, normalized: StoredFile | None
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            sox = None
            if normalized is not None:
                sox = await asyncio.create_subprocess_exec(*_SOX, stdin=_PIPE, stdout=_PIPE)
                tasks.create_task(_collect(sox, normalized))
            batch = bytearray()
            async for chunk in request.stream():
                batch += chunk
                if sox is not None and sox.stdin is not None:
                    sox.stdin.write(chunk)
                    await sox.stdin.drain()
                if len(batch) >= _BATCH_BYTES:
                    await original.write(batch)
                    batch = bytearray()
            await original.write(batch)
            if sox is not None and sox.stdin is not None:
                sox.stdin.close()

    def _account_of(self, request: Request) -> str:
        """Return the account of the path after checking the token.

        As in the product, a known token needs no signature check, only a read of the account: its
        API key may have been replaced.
        """
        token = request.headers.get("x-auth-token", "")
        account_id, generation, expires_s = self._verified.get(token) or self._verify(token)
        good = expires_s > time.time() and account_id == request.path_params["account_id"]
        if not good or self._rows.key_generation(account_id) != generation:
            raise HTTPException(401)
        return account_id

    def _verify(self, token: str) -> tuple[str, int, int]:
        try:
            claims = jwt.decode(token, self._key, algorithms=["RS256"]).claims
        except (JoseError, ValueError) as error:
            raise HTTPException(401) from error
        facts = str(claims["account_id"]), int(claims["key_generation"]), int(claims["exp"])
        self._verified[token] = facts
        return facts


async def _collect(sox: asyncio.subprocess.Process, normalized: StoredFile) -> None:
    """Store the output of sox until it ends."""
    assert sox.stdout is not None
    while batch := await sox.stdout.read(_BATCH_BYTES):
        await normalized.write(bytearray(batch))
    if await sox.wait():
        raise HTTPException(500, "sox failed")


def _listed(media_id: str, document: dict[str, object]) -> dict[str, object]:
    shown = ("name", "media_source", "language", "content_type")
    row = {key: document[key] for key in shown if key in document}
    return {"id": media_id, **row, "is_prompt": False}


def _envelope(
    request: Request,
    document: object,
    status: int = 200,
    paging: Mapping[str, object] = _NO_PAGING,
) -> Response:
    """Return the product's answer: Kazoo's envelope with a revision, which is also the ETag."""
    text = orjson.dumps(document)
    revision = hashlib.md5(text, usedforsecurity=False).hexdigest()
    body = {
        "data": document,
        "revision": revision,
        **paging,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "version": "1.0.0",
        "node": "peer",
        "request_id": request.headers.get("x-request-id", ""),
        "status": "success",
        "auth_token": request.headers["x-auth-token"],
    }
    headers = {"etag": f'"{revision}"'}
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def main() -> None:
    """Serve until SIGTERM."""
    folder, socket, account_id = sys.argv[1:]
    application = Service(Path(folder), account_id).application()
    uvicorn.run(application, uds=socket, loop="uvloop", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
