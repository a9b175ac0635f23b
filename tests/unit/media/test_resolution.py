"""The languages in which a prompt is looked for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kazoo_media.media.resolution import languages_near
from kazoo_media.settings import LANGUAGE_FALLBACK


@pytest.mark.parametrize(
    ("language", "fallback", "near"),
    [
        ("fr-CA", LANGUAGE_FALLBACK.built_in, ["fr-ca", "fr", "fr-fr", "en-us"]),
        ("fr-FR", LANGUAGE_FALLBACK.built_in, ["fr-fr", "fr", "en-us"]),
        ("en-us", LANGUAGE_FALLBACK.built_in, ["en-us", "en"]),
        ("", {}, ["en-us", "en"]),
        ("zh-Hant-TW", {}, ["zh-hant-tw", "zh-hant", "zh", "en-us"]),
        ("fr-CA", {"FR-ca": "Fr-BE", "fr": "fr-ca"}, ["fr-ca", "fr-be", "fr", "en-us"]),
        ("a", {"a": "b", "b": "a"}, ["a", "b", "en-us"]),
    ],
)
def test_a_language_is_followed_by_its_fallback_and_its_first_parts(
    language: str, fallback: Mapping[str, str], near: list[str]
) -> None:
    assert languages_near(language, fallback, "en-US") == near
