"""No driver without its contract suite."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC
from pathlib import Path
from typing import Any

import pytest

import kazoo_media.blobs
import kazoo_media.metadata
from kazoo_media.blobs.store import BlobStore
from kazoo_media.metadata.store import MetadataStore
from tests.contract.blob_store import BlobStoreContract
from tests.contract.metadata_store import MetadataStoreContract


def _descendants(parent: type[Any]) -> set[type[Any]]:
    return {each for child in parent.__subclasses__() for each in (child, *_descendants(child))}


@pytest.mark.parametrize(
    ("package", "contract", "suite"),
    [
        (kazoo_media.metadata, MetadataStore, MetadataStoreContract),
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
    }
    assert len(drivers) >= 2
    assert drivers == {each.driver for each in _descendants(suite)}
