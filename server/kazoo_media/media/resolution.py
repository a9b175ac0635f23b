"""Resolution of prompts: which audio a caller hears, of all translations of a prompt."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kazoo_media.access.accounts import PlayScope
from kazoo_media.audio.formats import extension_of
from kazoo_media.documents.rules import prompt_media_id
from kazoo_media.documents.violations import too_long
from kazoo_media.errors import PromptNotFoundError, ValidationError
from kazoo_media.metadata.store import MediaStore
from kazoo_media.model import SYSTEM_ACCOUNT_ID, Media, Rendition
from kazoo_media.settings import DEFAULT_LANGUAGE, LANGUAGE_FALLBACK, Settings

MOST_LANGUAGE_CHARACTERS = 64


class PassedOverReason(enum.StrEnum):
    """Why a translation of a prompt is not used."""

    MISSING = "missing"
    NO_AUDIO = "no_audio"
    OTHER_FORMAT = "other_format"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A translation that would have been used before the one that is."""

    account_id: str
    language: str
    media_id: str
    reason: PassedOverReason


@dataclass(frozen=True, slots=True)
class Resolution:
    """The audio of a prompt.

    Attributes:
        language: The language that it has, in lower case.
        passed_over: In the order in which they were looked at.
    """

    media: Media
    rendition: Rendition
    language: str
    passed_over: tuple[PassedOver, ...]


class Resolver:
    """Finds the audio of prompts."""

    def __init__(self, store: MediaStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    async def resolve(
        self, scope: PlayScope, prompt_id: str, language: str = "", extension: str = ""
    ) -> Resolution:
        """Return the audio of a prompt in the nearest language that has some.

        The order of languages is that of `languages_near`. For each language the prompt of the
        account goes before that of the system scope, which all accounts may read.

        Args:
            language: In any case; "": the default language.
            extension: The format that it must have; "": the served rendition.

        Raises:
            ValidationError: the language is too long.
            PromptNotFoundError: no language has audio.
            ForbiddenError: a recording has the id of the prompt, and the caller only plays.
        """
        if len(language) > MOST_LANGUAGE_CHARACTERS:
            raise ValidationError([too_long("language", MOST_LANGUAGE_CHARACTERS, language)])
        values = await self._settings.now()
        fallback: dict[str, str] = values[LANGUAGE_FALLBACK]
        languages = languages_near(language, fallback, values[DEFAULT_LANGUAGE])
        passed_over: list[PassedOver] = []
        for each in languages:
            media_id = prompt_media_id({"prompt_id": prompt_id, "language": each}) or ""
            for account_id in dict.fromkeys((scope.account_id, SYSTEM_ACCOUNT_ID)):
                media = await self._store.get_media(account_id, media_id)
                found = _usable(media, extension.lower())
                if media is not None and isinstance(found, Rendition):
                    scope.check(media)
                    return Resolution(media, found, each, tuple(passed_over))
                if not isinstance(found, Rendition):
                    passed_over.append(PassedOver(account_id, each, media_id, found))
        raise PromptNotFoundError(
            prompt_id, [(each.account_id, each.media_id, each.reason) for each in passed_over]
        )


def languages_near(language: str, fallback: Mapping[str, str], default: str) -> list[str]:
    """Return the languages to look for, the nearest first, in lower case.

    A language is followed by its fallback and by itself without its last part, the default language
    comes last: `fr-ca` -> `fr` -> `fr-fr` -> `en-us`, if `fr-fr` is the fallback of `fr`.

    Args:
        fallback: Languages that stand for others.
        default: Looked for at the end, and if the language is "".
    """
    stands_for = {key.lower(): value.lower() for key, value in fallback.items()}
    near: dict[str, None] = {}
    for tag in _shortened((language or default).lower()):
        following: str | None = tag
        while following and following not in near:
            near[following] = None
            following = stands_for.get(following)
    near[default.lower()] = None
    return list(near)


def _shortened(tag: str) -> Iterator[str]:
    """Yield a tag, then the tag without its last part, and so on."""
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]


def _usable(media: Media | None, extension: str) -> Rendition | PassedOverReason:
    if media is None:
        return PassedOverReason.MISSING
    if media.content is None:
        return PassedOverReason.NO_AUDIO
    fitting = [
        each
        for each in media.content.renditions
        if not extension or extension_of(each.content_type) == extension
    ]
    if not fitting:
        return PassedOverReason.OTHER_FORMAT
    whole = [each for each in fitting if not each.is_damaged]
    return whole[0] if whole else PassedOverReason.DAMAGED
