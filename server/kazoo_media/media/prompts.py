"""Prompts and languages: counts and lists."""

from __future__ import annotations

from dataclasses import dataclass

from kazoo_media.access.accounts import ReadScope
from kazoo_media.metadata.store import PromptStore


@dataclass(frozen=True, slots=True)
class PromptPage:
    """Prompt ids with the number of their translations, in the order of the ids.

    Attributes:
        next_start: First prompt id of the next page, None on the last page.
    """

    counts: list[tuple[str, int]]
    next_start: str | None


@dataclass(frozen=True, slots=True)
class IdPage:
    """Media ids in their order.

    Attributes:
        next_start: First id of the next page, None on the last page.
    """

    ids: list[str]
    next_start: str | None


@dataclass(frozen=True, slots=True)
class TranslationPage:
    """Ids of a prompt's media in their order, each with whether the media has audio.

    Attributes:
        next_start: First id of the next page, None on the last page.
    """

    translations: list[tuple[str, bool]]
    next_start: str | None


class Prompts:
    """Prompts and languages of all accounts."""

    def __init__(self, store: PromptStore) -> None:
        self._store = store

    async def count_prompts(self, scope: ReadScope, start: str, limit: int) -> PromptPage:
        """Return prompt ids >= `start`, at most `limit`."""
        rows = await self._store.count_prompts(scope.account_id, start, limit + 1)
        return PromptPage(rows[:limit], rows[limit][0] if len(rows) > limit else None)

    async def translations(
        self, scope: ReadScope, prompt_id: str, start: str, limit: int
    ) -> TranslationPage:
        """Return ids >= `start` of the media of a prompt, at most `limit`; none if unknown."""
        rows = await self._store.list_translations(scope.account_id, prompt_id, start, limit + 1)
        return TranslationPage(rows[:limit], rows[limit][0] if len(rows) > limit else None)

    async def count_languages(self, scope: ReadScope) -> list[tuple[str | None, int]]:
        """Return lower-case languages with the number of their media.

        None counts the media without a language.
        """
        return await self._store.count_languages(scope.account_id)

    async def media_of_language(
        self, scope: ReadScope, language: str | None, start: str, limit: int
    ) -> IdPage:
        """Return ids >= `start` of the media of a language, at most `limit`.

        The language may have any case; None selects the media without one.
        """
        wanted = None if language is None else language.lower()
        rows = await self._store.list_language_ids(scope.account_id, wanted, start, limit + 1)
        return IdPage(rows[:limit], rows[limit] if len(rows) > limit else None)
