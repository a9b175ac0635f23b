"""Chooses the driver of the metadata store."""

from __future__ import annotations

from pathlib import Path

from kazoo_media.metadata.engine import METADATA_URL
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.start_error import StartError


async def open_metadata(
    url: str, path: Path, *, shared: bool, metrics: Metrics = NO_METRICS
) -> MetadataStore:
    """Return the store in a PostgreSQL database, or without a URL the one in a file.

    Args:
        path: The file; its folder exists.
        shared: Whether several processes use the file.

    Raises:
        StartError: the database cannot be used.
    """
    if not url:
        return await SqliteMetadataStore.open(path, shared=shared, metrics=metrics)
    try:
        from kazoo_media.metadata.postgres import PostgresMetadataStore  # noqa: PLC0415 - an extra
    except ImportError as error:
        remedy = "pip install 'kazoo-media[postgres]'"
        raise StartError.about(METADATA_URL, f"it needs {error.name or error}", remedy) from error
    return await PostgresMetadataStore.open(url, metrics=metrics)
