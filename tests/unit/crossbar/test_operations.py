"""The table of resources and verbs is whole."""

from __future__ import annotations

import pytest

from kazoo_media.crossbar.operations import OPERATIONS, Operation, Resource, Target
from kazoo_media.crossbar.registration import _LOCATE
from kazoo_media.crossbar.v2 import crossbar_service_pb2

_RPCS = crossbar_service_pb2.DESCRIPTOR.services_by_name["CrossbarService"].methods


def test_every_rpc_is_served() -> None:
    assert set(_LOCATE) == {method.name for method in _RPCS}


def test_every_operation_is_reached() -> None:
    reached = {operation for verbs in OPERATIONS.values() for operation in verbs.values()}
    assert reached == set(Operation)
    assert set(OPERATIONS) == set(Resource)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v2/media", Target(Resource.MEDIA)),
        ("/v2/accounts/a/media/", Target(Resource.MEDIA, "a")),
        ("/v1/accounts/a/media/x", Target(Resource.MEDIA_ITEM, "a", "x")),
        ("/v2/accounts/a/media/x%2Fy", Target(Resource.MEDIA_ITEM, "a", "x/y")),
        ("/v2/accounts/a/media/x/raw", Target(Resource.CONTENT, "a", "x")),
        ("/v2/accounts/a/media/x/raw.mp3", Target(Resource.CONTENT, "a", "x", "mp3")),
        ("/v2/accounts/a/media/x/raw/y.z.mp3", Target(Resource.NAMED_CONTENT, "a", "x", "mp3")),
        ("/v2/accounts/a/media/x/raw/mp3", Target(None, "a", "x")),
        ("/v2/accounts/a/media/x/raw/y/z.mp3", Target(None, "a", "x")),
        ("/v2/accounts/a/media/x/Raw", Target(None, "a", "x")),
        ("/v2/media/prompts", Target(Resource.PROMPTS, "", "prompts")),
        ("/v2/media/prompts/raw", Target(Resource.PROMPT, "", "raw")),
        ("/v2/media/prompts/vm/resolve", Target(Resource.RESOLUTION, "", "vm")),
        ("/v2/media/prompts/vm/resolve/a.mp3", Target(Resource.RESOLVED_CONTENT, "", "vm", "mp3")),
        ("/v2/media/prompts/vm/resolve/a", Target(None, "", "vm")),
        ("/v2/media/prompts/vm/raw", Target(None)),
        ("/v2/accounts/a/media/x/link", Target(Resource.LINK, "a", "x")),
        ("/media/a/x%2Fy.z.mp3", Target(Resource.LINKED_CONTENT, "a", "x/y.z", "mp3")),
        ("/media/a/x", Target(None)),
        ("/v2/media/languages/missing", Target(Resource.LANGUAGE, "", "missing")),
        ("/v2/media/languages/a/b", Target(None)),
        ("/v2/accounts/a/media/tts/voices", Target(Resource.VOICES, "a")),
        ("/v2/media/tts", Target(None, "")),
        ("/v2/media/tts/raw", Target(None)),
        ("/v2/media/TTS/raw", Target(Resource.CONTENT, "", "TTS")),
        ("/v2/api_auth", Target(Resource.LOG_IN)),
        ("/v2/accounts/media", Target(None)),
        ("/v2/accounts/media/media", Target(Resource.MEDIA, "media")),
        ("/media", Target(None)),
        ("", Target(None)),
    ],
)
def test_paths_are_located(path: str, target: Target) -> None:
    assert Target.locate(path) == target
