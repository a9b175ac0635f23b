"""The schema of a document: rules, texts, defaults."""

from __future__ import annotations

from typing import Any

import pytest

from kazoo_media.documents.rules import (
    check_media_id,
    merged,
    prompt_media_id,
    validated,
    with_content_keys,
)
from kazoo_media.errors import ValidationError
from kazoo_media.model import Content, Rendition, RenditionKind

_CONTENT = Content(Rendition(RenditionKind.ORIGINAL, "0" * 32, "audio/x-wav", 9, "0" * 64))


def _violations(data: dict[str, Any]) -> Any:
    with pytest.raises(ValidationError) as caught:
        validated(data, None, "en-us")
    return caught.value.kazoo_data


def test_only_the_name_must_be_sent_and_defaults_fill_the_rest() -> None:
    assert validated({"name": "File"}, None, "de-de") == {
        "name": "File",
        "language": "de-de",
        "media_source": "upload",
        "streamable": True,
        "tts": {"voice": "female/en-US"},
    }


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, {"name": {"required": {"message": "Field is required but missing", "value": "name"}}}),
        (
            {"name": ""},
            {
                "name": {
                    "minLength": {
                        "message": "String must be at least 1 characters",
                        "target": 1,
                        "cause": "",
                        "value": "",
                    }
                }
            },
        ),
        (
            {"name": "n", "media_source": "x"},
            {
                "media_source": {
                    "enum": {
                        "message": "Value not found in enumerated list of values",
                        "target": ["recording", "upload", "tts"],
                        "value": "x",
                    }
                }
            },
        ),
        (
            {"name": "n", "streamable": "yes"},
            {
                "streamable": {
                    "type": {
                        "message": "Value did not match type(s): boolean",
                        "target": "boolean",
                        "value": "yes",
                    }
                }
            },
        ),
        (
            {"name": "n", "content_length": 0},
            {
                "content_length": {
                    "minimum": {"message": "Value must be at least 1", "target": 1, "value": 0}
                }
            },
        ),
        (
            {"name": "n", "tts": {"text": ""}},
            {
                "tts.text": {
                    "minLength": {
                        "message": "String must be at least 1 characters",
                        "target": 1,
                        "cause": "",
                        "value": "",
                    }
                }
            },
        ),
    ],
)
def test_a_broken_rule_has_kazoos_words(data: dict[str, Any], expected: dict[str, Any]) -> None:
    assert _violations(data) == expected


def test_all_violations_are_reported_together() -> None:
    found = _violations(
        {
            "name": "x" * 129,
            "description": "",
            "language": 5,
            "source_id": "short",
            "content_type": "text/plain",
            "tts": {"voice": "robot/xx-YY"},
            "prompt_id": ["a"],
        }
    )
    assert set(found) == {
        "name",
        "description",
        "language",
        "source_id",
        "content_type",
        "tts.voice",
        "prompt_id",
    }


def test_lengths_count_characters_not_bytes() -> None:
    assert validated({"name": "😀" * 128}, None, "en-us")["name"] == "😀" * 128
    assert "maxLength" in _violations({"name": "😀" * 129})["name"]


def test_integers_and_booleans_given_as_text_are_taken_as_such() -> None:
    document = validated({"name": "n", "streamable": "false", "content_length": "12"}, None, "x")
    assert document["streamable"] is False
    assert document["content_length"] == 12


def test_unknown_keys_are_kept_and_private_ones_dropped() -> None:
    document = validated(
        {"name": "n", "ui_metadata": {"ui": "monster"}, "_rev": "1", "pvt_x": 1, "id": "x"},
        None,
        "en-us",
    )
    assert document["ui_metadata"] == {"ui": "monster"}
    assert not {"_rev", "pvt_x", "id"} & set(document)


def test_content_keys_are_the_clients_hint_until_there_is_content() -> None:
    sent = {"name": "n", "content_type": "audio/mp3", "content_length": 5, "duration_ms": 1}
    before = validated(sent, None, "en-us")
    assert (before["content_type"], before["content_length"]) == ("audio/mp3", 5)
    after = validated({**sent, "content_type": "nonsense"}, _CONTENT, "en-us")
    assert not {"content_type", "content_length", "duration_ms"} & set(after)


@pytest.mark.parametrize("voice", ["female/en-us", "MALE/ru-RU/Vladimir", "en-US-Wavenet-C"])
def test_voices_are_known_without_regard_to_case(voice: str) -> None:
    document = validated({"name": "n", "tts": {"voice": voice}}, None, "en-us")
    assert document["tts"]["voice"] == voice


def test_a_prompt_has_a_lower_case_language_and_an_id_made_of_both() -> None:
    document = validated({"name": "n", "language": "FR-fr", "prompt_id": "vm-x"}, None, "en-us")
    assert document["language"] == "fr-fr"
    assert prompt_media_id(document) == "fr-fr/vm-x"


def test_other_media_keep_the_case_of_their_language() -> None:
    assert validated({"name": "n", "language": "en-US"}, None, "x")["language"] == "en-US"


@pytest.mark.parametrize(
    ("document", "changes", "result"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": None, "z": 3}}, {"a": {"x": 1, "z": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"x": {"y": None}}}, {"a": {"x": {}}}),
    ],
)
def test_patches_merge_deeply_and_null_removes(
    document: dict[str, Any], changes: dict[str, Any], result: dict[str, Any]
) -> None:
    assert merged(document, changes) == result


@pytest.mark.parametrize("media_id", ["", "x" * 1025, "a\0b", "fr-fr%2Fvm", "prompts", "languages"])
def test_ids_that_no_path_could_name_are_refused(media_id: str) -> None:
    with pytest.raises(ValidationError):
        check_media_id(media_id)


@pytest.mark.parametrize("media_id", ["a b+c?d%", "../x", "ż/😀", "x" * 1024, "raw", "100%"])
def test_odd_ids_are_fine(media_id: str) -> None:
    check_media_id(media_id)


def test_names_of_files_and_words_of_programs_lose_their_nul() -> None:
    original = Rendition(RenditionKind.ORIGINAL, "k", "audio/wav", 1, "0" * 64)
    outcome = {"attachment_name": "a\0.wav", "normalization_error": "sox: \0"}
    document = with_content_keys({}, Content(original), outcome)
    assert (document["attachment_name"], document["normalization_error"]) == ("a.wav", "sox: ")
