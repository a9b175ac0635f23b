"""What every metadata store promises of signing keys, playback keys and link secrets."""

from __future__ import annotations

import asyncio

from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import PlaybackKey, SigningKey


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


class PlaybackKeyStoreContract:
    """The promises of `PlaybackKeyStore`."""

    async def test_playback_keys_are_found_by_their_digests_and_listed_by_age(
        self, store: MetadataStore
    ) -> None:
        old, new = PlaybackKey("a", "z", "", 1), PlaybackKey("a", "b", "Ünï", 2)
        other = PlaybackKey("b", "z", "other", 1)
        for each in (new, old, other):
            await store.add_playback_key(each, f"digest of {each.account_id} {each.id}")
        assert await store.list_playback_keys("a") == [old, new]
        assert await store.list_playback_keys("c") == []
        assert await store.find_playback_key("digest of b z") == other
        assert await store.find_playback_key("digest") is None
        assert await store.find_playback_key("") is None

    async def test_a_removed_playback_key_is_not_found_and_others_stay(
        self, store: MetadataStore
    ) -> None:
        own, other = PlaybackKey("a", "z", "", 1), PlaybackKey("b", "z", "", 1)
        await store.add_playback_key(own, "own")
        await store.add_playback_key(other, "other")
        assert await store.remove_playback_key("a", "z")
        assert not await store.remove_playback_key("a", "z")
        assert await store.find_playback_key("own") is None
        assert await store.list_playback_keys("a") == []
        assert await store.find_playback_key("other") == other


class LinkSecretStoreContract:
    """The promises of `LinkSecretStore`."""

    async def test_the_first_secret_of_an_account_stays_until_it_is_replaced(
        self, store: MetadataStore
    ) -> None:
        assert await store.get_link_secret("a") is None
        assert await store.add_link_secret("a", "first") == "first"
        assert await store.add_link_secret("a", "second") == "first"
        assert await store.add_link_secret("system", "other") == "other"
        await store.replace_link_secret("a", "third")
        assert await store.get_link_secret("a") == "third"
        assert await store.get_link_secret("system") == "other"

    async def test_replacing_no_secret_adds_none(self, store: MetadataStore) -> None:
        await store.replace_link_secret("a", "new")
        assert await store.get_link_secret("a") is None


class ClusterStoreContract:
    """The promises of `ClusterStore`."""

    async def test_the_id_of_the_cluster_stays(self, store: MetadataStore) -> None:
        first = await store.get_cluster_id()
        assert len(first) == 32
        assert await store.get_cluster_id() == first

    async def test_one_holder_has_a_claim_until_its_time_is_over(
        self, store: MetadataStore
    ) -> None:
        assert await store.claim("upkeep", "one", 60_000)
        assert not await store.claim("upkeep", "two", 60_000)
        assert await store.claim("other", "two", 60_000)
        assert await store.claim("upkeep", "one", 0)
        assert await store.claim("upkeep", "two", 60_000)
        assert not await store.claim("upkeep", "one", 60_000)

    async def test_a_claim_is_given_up_by_its_holder_only(self, store: MetadataStore) -> None:
        assert await store.claim("upkeep", "one", 60_000)
        await store.release_claim("upkeep", "two")
        assert not await store.claim("upkeep", "two", 60_000)
        await store.release_claim("upkeep", "one")
        assert await store.claim("upkeep", "two", 60_000)

    async def test_of_many_that_claim_at_once_one_succeeds(self, store: MetadataStore) -> None:
        holders = [f"node-{number}" for number in range(8)]
        got = await asyncio.gather(*(store.claim("upkeep", each, 60_000) for each in holders))
        assert sum(got) == 1
