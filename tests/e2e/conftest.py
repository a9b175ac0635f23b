"""The built product, started once for the tests that do not disturb it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.product import Product


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("product")) as running:
        yield running
