"""What every metadata store promises of settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import SettingRow


class SettingStoreContract:
    """The promises of `SettingStore`."""

    @pytest.mark.parametrize("value", [True, 0, 1.5, "ä\U0001f600", [1, {"a": None}], {}])
    async def test_a_setting_is_stored_as_it_is(self, store: MetadataStore, value: Any) -> None:
        row = SettingRow("crossbar.media", "default", "key", value)
        await store.put_setting(row)
        (found,) = await store.list_settings()
        assert found == row
        assert type(found.value) is type(value)

    async def test_settings_are_replaced_and_removed_one_by_one(self, store: MetadataStore) -> None:
        rows = [
            SettingRow(category, scope, key, 1)
            for category in ("media", "speech")
            for scope in ("default", "node")
            for key in ("a", "b")
        ]
        for row in rows:
            await store.put_setting(row)
        changed = replace(rows[0], value=2)
        await store.put_setting(changed)
        await store.remove_setting("speech", "node", "b")
        await store.remove_setting("speech", "node", "unknown")
        found = await store.list_settings()
        assert sorted(found, key=lambda each: (each.category, each.scope, each.key)) == [
            changed,
            *rows[1:-1],
        ]

    async def test_the_settings_revision_changes_with_every_change(
        self, store: MetadataStore
    ) -> None:
        seen = [await store.settings_revision()]
        assert await store.settings_revision() == seen[0]
        row = SettingRow("media", "default", "key", 1)
        for change in (
            store.put_setting(row),
            store.put_setting(replace(row, value=2)),
            store.remove_setting("media", "default", "key"),
            store.bump_settings_revision(),
        ):
            await change
            seen.append(await store.settings_revision())
        assert len(set(seen)) == len(seen)
