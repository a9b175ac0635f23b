"""No driver without its contract suite."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from abc import ABC
from pathlib import Path
from typing import Any

import pytest

import kazoo_media.blobs
import kazoo_media.metadata
from kazoo_media.blobs.store import BlobStore
from kazoo_media.metadata.cluster_store import ClusterStore
from kazoo_media.metadata.link_secret_store import LinkSecretStore
from kazoo_media.metadata.recording_store import RecordingStore
from kazoo_media.metadata.store import (
    AccountStore,
    BlobRows,
    DamageRows,
    KeyStore,
    MediaStore,
    MetadataStore,
    PlaybackKeyStore,
    PromptStore,
    SettingStore,
)
from kazoo_media.metadata.uploads import UploadStore
from kazoo_media.metadata.version_store import VersionStore
from tests.contract.blob_store import BlobStoreContract
from tests.contract.metadata_accounts import AccountStoreContract
from tests.contract.metadata_blobs import BlobRowsContract
from tests.contract.metadata_keys import KeyStoreContract
from tests.contract.metadata_media import MediaStoreContract
from tests.contract.metadata_prompts import PromptStoreContract
from tests.contract.metadata_recordings import RecordingStoreContract
from tests.contract.metadata_settings import SettingStoreContract
from tests.contract.metadata_uploads import UploadStoreContract


def _descendants(parent: type[Any]) -> set[type[Any]]:
    return {each for child in parent.__subclasses__() for each in (child, *_descendants(child))}


@pytest.mark.parametrize(
    ("package", "contract", "suite"),
    [
        (kazoo_media.metadata, MediaStore, MediaStoreContract),
        (kazoo_media.metadata, PromptStore, PromptStoreContract),
        (kazoo_media.metadata, BlobRows, BlobRowsContract),
        (kazoo_media.metadata, AccountStore, AccountStoreContract),
        (kazoo_media.metadata, KeyStore, KeyStoreContract),
        (kazoo_media.metadata, SettingStore, SettingStoreContract),
        (kazoo_media.metadata, UploadStore, UploadStoreContract),
        (kazoo_media.metadata, RecordingStore, RecordingStoreContract),
        (kazoo_media.blobs, BlobStore, BlobStoreContract),
    ],
)
def test_every_driver_in_the_package_has_a_suite(
    package: Any, contract: type[ABC], suite: type[Any]
) -> None:
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    for path in Path(__file__).parent.glob("test_*_stores.py"):
        importlib.import_module(f"tests.contract.{path.stem}")
    drivers = {
        each
        for each in _descendants(contract)
        if each.__module__.startswith(("kazoo_media.", "tests.support."))
        and not inspect.isabstract(each)
    }
    assert len(drivers) >= 2
    assert drivers == {each.driver for each in _descendants(suite) if "driver" in vars(each)}


def test_every_contract_of_a_metadata_store_is_narrow_and_has_a_suite() -> None:
    contracts = (
        MediaStore,
        VersionStore,
        PromptStore,
        BlobRows,
        DamageRows,
        AccountStore,
        PlaybackKeyStore,
        LinkSecretStore,
        KeyStore,
        SettingStore,
        UploadStore,
        RecordingStore,
        ClusterStore,
    )
    assert set(MetadataStore.__bases__) == set(contracts)
    for contract in contracts:
        methods = [name for name, _ in inspect.getmembers(contract, inspect.isfunction)]
        assert 1 <= len(methods) <= 12
