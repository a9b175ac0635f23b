"""What every metadata store promises of signing keys."""

from __future__ import annotations

from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import SigningKey


class KeyStoreContract:
    """The promises of `KeyStore`."""

    async def test_signing_keys_are_kept_and_listed_newest_first(
        self, store: MetadataStore
    ) -> None:
        old, new = SigningKey("z", "pem z", 1), SigningKey("a", "pem a", 2)
        await store.add_signing_key(old)
        await store.add_signing_key(new)
        await store.add_signing_key(SigningKey("z", "another", 3))
        assert await store.list_signing_keys() == [new, old]
