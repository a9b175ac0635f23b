"""A metadata store on any engine: the parts that all drivers share, together."""

from __future__ import annotations

from abc import abstractmethod

from typing_extensions import override

from kazoo_media.metadata.engine import Engine
from kazoo_media.metadata.sql_accounts import SqlAccounts
from kazoo_media.metadata.sql_blobs import SqlBlobs
from kazoo_media.metadata.sql_media import SqlMedia
from kazoo_media.metadata.sql_recordings import SqlRecordings
from kazoo_media.metadata.sql_settings import SqlSettings
from kazoo_media.metadata.sql_uploads import SqlUploads
from kazoo_media.metadata.store import MetadataStore


class SqlMetadataStore(
    SqlMedia, SqlBlobs, SqlAccounts, SqlSettings, SqlUploads, SqlRecordings, MetadataStore
):
    """All of a driver but its engine and its lists of media."""

    @abstractmethod  # this is a part of a driver
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @override
    async def aclose(self) -> None:
        await self._engine.aclose()
