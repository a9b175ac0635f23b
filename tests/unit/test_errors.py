"""Each failure that the service names has all that the surfaces say of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kazoo_media.errors import Code, MediaError, SpeechFailedError
from kazoo_media.v1 import error_reason_pb2

_PREFIX = "ERROR_REASON_"


def _named(base: type[MediaError]) -> Iterator[type[MediaError]]:
    """Yield all errors that are raised; those starting with an underscore are their common
    parts.
    """
    for each in base.__subclasses__():
        if not each.__name__.startswith("_"):
            yield each
        yield from _named(each)


ERRORS = list(_named(MediaError))


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_says_all_that_a_surface_needs(error: type[MediaError]) -> None:
    assert isinstance(error.code, Code)
    assert 400 <= error.http_status < 600
    assert error.kazoo_message
    assert error.__doc__


def test_a_failed_speech_gives_the_reason_of_the_provider() -> None:
    assert SpeechFailedError("no voice").kazoo_message == "no voice"


@pytest.mark.parametrize("code", Code)
def test_a_code_is_one_of_grpc(code: Code) -> None:
    assert grpc.StatusCode[code.name].name == code.name


def test_reasons_are_unique_and_exactly_those_of_the_proto() -> None:
    reasons = [error.reason for error in ERRORS]
    listed = [
        name.removeprefix(_PREFIX)
        for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
    ]
    assert sorted(reasons) == sorted(set(listed) - {"UNSPECIFIED"})


def test_the_proto_comment_of_a_reason_names_its_code() -> None:
    """Clients read the code there, so it may not differ from what is sent."""
    comments = _comments_of_reasons()
    for error in ERRORS:
        if error.reason == "INTERNAL":
            continue  # says it in words
        assert error.code.name in comments[error.reason], error.reason


def _comments_of_reasons() -> dict[str, str]:
    path = Path(__file__).parents[2] / "proto" / "kazoo_media" / "v1" / "error_reason.proto"
    comments: dict[str, str] = {}
    collected: list[str] = []
    for line in path.read_text().splitlines():
        text = line.strip()
        if text.startswith("//"):
            collected.append(text)
        elif text.startswith(_PREFIX):
            comments[text.split()[0].removeprefix(_PREFIX)] = " ".join(collected)
            collected = []
        else:
            collected = []
    return comments
