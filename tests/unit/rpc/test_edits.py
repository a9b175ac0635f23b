"""Update masks: which document results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kazoo_media.errors import ValidationError
from kazoo_media.model import Media
from kazoo_media.rpc.convert import document_of
from kazoo_media.rpc.edits import edit_of
from kazoo_media.rpc.values import to_value
from kazoo_media.v1.media_pb2 import MEDIA_SOURCE_RECORDING, Tts
from kazoo_media.v1.media_pb2 import Media as Message

_DOCUMENT: Mapping[str, Any] = {
    "name": "old",
    "description": "old",
    "language": "de",
    "media_source": "upload",
    "streamable": True,
    "tts": {"text": "hello", "voice": "male/de-DE", "speed": 2},
    "content_type": "audio/mp3",
    "origin": "callflow",
    "serial": 2**60 + 1,
    "nested": {"a": 1, "b": {"c": 2}},
}


def _message(extra: Mapping[str, Any] | None = None, **fields: Any) -> Message:
    message = Message(**fields)
    for key, value in (extra or {}).items():
        message.extra.fields[key].CopyFrom(to_value(value))
    return message


def _edited(message: Message, *mask: str, document: Mapping[str, Any] = _DOCUMENT) -> Any:
    current = Media("a" * 32, "m", document, "1-x", 0, 0)
    return edit_of(document_of(message), mask)(current)


def test_only_the_masked_field_changes() -> None:
    message = _message(name="new", description="ignored")
    assert _edited(message, "name") == {**_DOCUMENT, "name": "new"}


def test_a_masked_field_that_is_absent_is_removed() -> None:
    edited = _edited(_message(name="new"), "description", "media_source")
    assert edited.keys() == _DOCUMENT.keys() - {"description", "media_source"}


def test_a_part_of_tts_changes_alone() -> None:
    edited = _edited(_message(tts=Tts(voice="female/en-US")), "tts.voice")
    assert edited["tts"] == {"text": "hello", "voice": "female/en-US", "speed": 2}


def test_a_masked_part_of_an_absent_tts_is_removed() -> None:
    assert _edited(_message(), "tts.text")["tts"] == {"voice": "male/de-DE", "speed": 2}


def test_tts_is_replaced_as_a_whole() -> None:
    edited = _edited(_message(tts=Tts(text="bye")), "tts")
    assert edited["tts"] == {"text": "bye"}


@pytest.mark.parametrize("message", [_message(), _message(language="")])
def test_a_masked_language_that_is_absent_or_empty_leaves_none(message: Message) -> None:
    assert _edited(message, "language")["language"] is None


def test_a_document_without_a_language_gets_none_by_an_edit_of_something_else() -> None:
    edited = _edited(_message(name="new"), "name", document={"name": "old"})
    assert edited == {"name": "new", "language": None}


def test_one_key_of_extra_changes_alone() -> None:
    edited = _edited(_message({"origin": "api", "serial": 1}), "extra.origin")
    assert edited == {**_DOCUMENT, "origin": "api"}


def test_a_nested_key_of_extra_changes_alone() -> None:
    edited = _edited(_message({"nested": {"b": {"c": 3}}}), "extra.nested.b.c")
    assert edited["nested"] == {"a": 1, "b": {"c": 3}}
    assert _DOCUMENT["nested"] == {"a": 1, "b": {"c": 2}}


def test_a_masked_key_of_extra_that_is_absent_is_removed() -> None:
    edited = _edited(_message(), "extra.origin", "extra.nested.a", "extra.none.such")
    assert "origin" not in edited
    assert edited["nested"] == {"b": {"c": 2}}
    assert "none" not in edited


def test_extra_is_replaced_as_a_whole() -> None:
    edited = _edited(_message({"new": [1]}), "extra")
    kept = _DOCUMENT.keys() - {"origin", "serial", "nested"}
    assert edited == {key: _DOCUMENT[key] for key in kept} | {"new": [1]}


def test_an_empty_mask_replaces_all_that_a_client_can_write() -> None:
    edited = _edited(_message({"origin": "api"}, name="new", media_source=MEDIA_SOURCE_RECORDING))
    assert edited == {
        "name": "new",
        "media_source": "recording",
        "language": None,
        "origin": "api",
        "content_type": "audio/mp3",
    }


def test_an_integer_beyond_doubles_survives_being_read_and_written_back() -> None:
    message = _message({"serial": _DOCUMENT["serial"]}, name="new")
    assert _edited(message)["serial"] == _DOCUMENT["serial"]


def test_true_is_not_taken_for_one() -> None:
    edited = _edited(_message({"flag": 1}), "extra", document={"name": "x", "flag": True})
    assert edited["flag"] is not True


@pytest.mark.parametrize(
    "mask",
    [["colour"], ["revision"], ["id"], ["tts.speed"], ["extra.name"], ["extra."], ["name", "*"]],
)
def test_a_path_that_can_not_be_changed_is_refused(mask: Sequence[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        edit_of({"name": "new"}, mask)
    assert [each.field for each in refused.value.violations] == ["update_mask"]


@pytest.mark.parametrize("key", ["name", "tts", "content_length", "id"])
def test_a_key_that_is_not_for_extra_is_refused_there(key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        document_of(_message({key: "x"}, name="new"))
    assert refused.value.violations[0].field == f"extra.{key}"
