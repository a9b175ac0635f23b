"""What every metadata store promises of prompts and languages."""

from __future__ import annotations

from kazoo_media.metadata.store import MetadataStore
from tests.contract.media_samples import (
    ACCOUNT,
    OTHER_ACCOUNT,
    make_media,
)


class PromptStoreContract:
    """The promises of `PromptStore`."""

    async def test_prompts_are_counted_by_id_from_a_start(self, store: MetadataStore) -> None:
        for language, prompt in (("en", "b"), ("de", "b"), ("en", "a"), ("en", "\U0001f600")):
            await store.insert_media(
                make_media(f"{language}/{prompt}", prompt_id=prompt, language=language)
            )
        await store.insert_media(make_media("no prompt", prompt_id=""))
        await store.insert_media(make_media("x", OTHER_ACCOUNT, prompt_id="b"))
        assert await store.count_prompts(ACCOUNT, "", 9) == [("a", 1), ("b", 2), ("\U0001f600", 1)]
        assert await store.count_prompts(ACCOUNT, "b", 1) == [("b", 2)]
        assert await store.list_translations(ACCOUNT, "b", "", 9) == [
            ("de/b", False),
            ("en/b", False),
        ]
        assert await store.list_translations(ACCOUNT, "b", "de/b", 1) == [("de/b", False)]
        assert await store.list_translations(ACCOUNT, "b", "e", 9) == [("en/b", False)]
        assert await store.list_translations(ACCOUNT, "unknown", "", 9) == []

    async def test_languages_are_counted_without_case(self, store: MetadataStore) -> None:
        for media_id, document in {
            "1": {"language": "EN-us"},
            "2": {"language": "en-US"},
            "3": {"language": "de"},
            "4": {"language": ""},
            "5": {},
            "6": {"language": "ÄÖ"},
        }.items():
            await store.insert_media(make_media(media_id, **document))
        await store.insert_media(make_media("7", OTHER_ACCOUNT, language="de"))
        counts = await store.count_languages(ACCOUNT)
        assert counts == [("de", 1), ("en-us", 2), ("äö", 1), (None, 2)]
        assert await store.list_language_ids(ACCOUNT, "en-us", "", 9) == ["1", "2"]
        assert await store.list_language_ids(ACCOUNT, "en-us", "2", 9) == ["2"]
        assert await store.list_language_ids(ACCOUNT, "en-us", "", 1) == ["1"]
        assert await store.list_language_ids(ACCOUNT, None, "", 9) == ["4", "5"]
