"""The contract suites of metadata stores, together: every driver has them all."""

from __future__ import annotations

from typing import ClassVar

from kazoo_media.metadata.store import MetadataStore
from tests.contract.metadata_accounts import AccountStoreContract
from tests.contract.metadata_blobs import BlobRowsContract
from tests.contract.metadata_damage import DamageRowsContract
from tests.contract.metadata_keys import (
    ClusterStoreContract,
    KeyStoreContract,
    LinkSecretStoreContract,
    PlaybackKeyStoreContract,
)
from tests.contract.metadata_media import MediaStoreContract
from tests.contract.metadata_prompts import PromptStoreContract
from tests.contract.metadata_recordings import RecordingStoreContract
from tests.contract.metadata_settings import SettingStoreContract
from tests.contract.metadata_uploads import UploadStoreContract
from tests.contract.metadata_versions import VersionStoreContract


class MetadataStoreContract(
    MediaStoreContract,
    VersionStoreContract,
    PromptStoreContract,
    BlobRowsContract,
    DamageRowsContract,
    AccountStoreContract,
    KeyStoreContract,
    PlaybackKeyStoreContract,
    LinkSecretStoreContract,
    SettingStoreContract,
    UploadStoreContract,
    RecordingStoreContract,
    ClusterStoreContract,
):
    """Every promise of `MetadataStore`. A subclass names its driver and supplies `store`."""

    driver: ClassVar[type[MetadataStore]]
