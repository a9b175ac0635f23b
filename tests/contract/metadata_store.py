"""The contract suite of metadata stores."""

from __future__ import annotations

from typing import ClassVar

from kazoo_media.metadata.store import MetadataStore
from tests.contract.metadata_accounts import AccountContract
from tests.contract.metadata_blobs import BlobRowContract
from tests.contract.metadata_filters import FilterContract
from tests.contract.metadata_media import MediaContract


class MetadataStoreContract(MediaContract, FilterContract, BlobRowContract, AccountContract):
    """Every promise of `MetadataStore`. A subclass names its driver and supplies `store`."""

    driver: ClassVar[type[MetadataStore]]
