"""SpeechService."""

from __future__ import annotations

from typing import Any

import pytest

from kazoo_media.v1.speech_service_pb2 import (
    VOICE_GENDER_FEMALE,
    VOICE_GENDER_MALE,
    ListVoicesRequest,
)
from kazoo_media.v1.speech_service_pb2_grpc import SpeechServiceStub
from tests.rpc.conftest import TenantStub
from tests.rpc.service import refused


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[SpeechServiceStub]:
    return SpeechServiceStub


def test_any_account_sees_the_voices(stub: TenantStub) -> None:
    found = stub.ListVoices(ListVoicesRequest())
    assert found.provider == "espeak"
    assert len({voice.name for voice in found.voices}) == len(found.voices) == 56
    first, second = found.voices[:2]
    assert (first.name, first.locale, first.engine_voice) == ("female/en-US", "en-US", "en-us+f3")
    assert (first.gender, second.gender) == (VOICE_GENDER_FEMALE, VOICE_GENDER_MALE)


def test_voices_are_listed_only_with_a_token(grpc_stub: Any) -> None:
    with refused("UNAUTHENTICATED", "INVALID_CREDENTIALS"):
        grpc_stub.ListVoices(ListVoicesRequest())
