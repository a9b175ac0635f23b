"""The promises of an upload, on the core directly."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kazoo_media.access.accounts import AdminScope, WriteScope
from kazoo_media.errors import IncompleteUploadError, MediaError
from kazoo_media.media.uploads import Declared, Finish
from kazoo_media.model import RenditionKind
from tests.contract.upload_promises import (
    LIMIT_BYTES,
    UploadDriver,
    UploadPromises,
    UploadRefusedError,
)
from tests.support.core_fixtures import (
    CoreUnderTest,
    core_on_disk,
    replace_content,
    source_of,
    stored_bytes,
)

_SCOPE = WriteScope("a" * 32)


class _CoreDriver(UploadDriver):
    has_finish = True

    def __init__(self, tested: CoreUnderTest) -> None:
        self._tested = tested

    async def create(self) -> str:
        return (await self._tested.core.library.create(_SCOPE, {"name": "n"})).id

    async def upload(
        self,
        media_id: str,
        chunks: Sequence[bytes],
        *,
        size_bytes: int | None = None,
        sha256: str | None = None,
    ) -> None:
        whole = b"".join(chunks)
        finish = Finish(
            len(whole) if size_bytes is None else size_bytes,
            sha256 or hashlib.sha256(whole).hexdigest(),
        )
        try:
            await replace_content(
                self._tested.core,
                _SCOPE,
                media_id,
                Declared("audio/wav"),
                source_of(*chunks, finish),
            )
        except MediaError as error:
            raise UploadRefusedError(error.reason) from error

    async def upload_and_vanish(self, media_id: str, chunks: Sequence[bytes]) -> None:
        async def vanishing() -> AsyncIterator[bytes | Finish]:
            for chunk in chunks:
                yield chunk
            raise IncompleteUploadError("the client went away")

        with pytest.raises(MediaError):
            await replace_content(
                self._tested.core, _SCOPE, media_id, Declared("audio/wav"), vanishing()
            )

    async def download(self, media_id: str) -> bytes | None:
        media = await self._tested.core.library.get(_SCOPE, media_id)
        if media.content is None:
            return None
        return await stored_bytes(self._tested.core, _SCOPE, media_id, RenditionKind.ORIGINAL)

    async def document(self, media_id: str) -> Mapping[str, Any]:
        media = await self._tested.core.library.get(_SCOPE, media_id)
        return {**media.document, "revision": media.revision}


class TestPromisesOfTheCore(UploadPromises):
    @pytest.fixture
    async def driver(self, tmp_path: Path) -> AsyncIterator[UploadDriver]:
        async with core_on_disk(tmp_path) as tested:
            settings = tested.core.settings
            await settings.put(AdminScope(), "crossbar", "max_upload_size", LIMIT_BYTES, node=None)
            yield _CoreDriver(tested)
