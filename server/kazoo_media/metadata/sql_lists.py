"""Lists of media, for which each driver has statements of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from kazoo_media.metadata.engine import Engine
from kazoo_media.metadata.filters import Condition, DocumentSql
from kazoo_media.model import Media


class SqlLists(ABC):
    """What the shared parts of a driver need to list media.

    Attributes:
        documents: How the database looks into documents.
        select_listed: Selects id and document of media; of a large one only LISTED_KEYS.
    """

    documents: ClassVar[DocumentSql]
    select_listed: ClassVar[str]
    _engine: Engine

    @abstractmethod
    async def _page(self, condition: Condition, order: str, limit: int) -> list[Media]:
        """Return the media that fulfil a condition, in an order by columns of `m`.

        If their documents are long together there are fewer, as `listed_media` defines it.
        """
