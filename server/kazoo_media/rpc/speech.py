"""SpeechService."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import override

from kazoo_media.core import Core
from kazoo_media.rpc.callers import Callers
from kazoo_media.transport.context import Context
from kazoo_media.v1 import speech_service_pb2 as pb
from kazoo_media.v1.speech_service_pb2_grpc import SpeechServiceServicer

_GENDERS: Mapping[str, pb.VoiceGender.ValueType] = {
    "female": pb.VOICE_GENDER_FEMALE,
    "male": pb.VOICE_GENDER_MALE,
}


class SpeechServicer(SpeechServiceServicer):
    """The voices of text-to-speech."""

    def __init__(self, core: Core) -> None:
        self._callers = Callers(core)
        self._speech = core.speech

    @override
    async def ListVoices(
        self, request: pb.ListVoicesRequest, context: Context
    ) -> pb.ListVoicesResponse:
        await self._callers.identify(context)
        found = await self._speech.voices()
        voices = [
            pb.Voice(
                name=each.name,
                locale=each.locale,
                gender=_GENDERS[each.gender],
                engine_voice=each.engine_voice,
            )
            for each in found.voices
        ]
        return pb.ListVoicesResponse(provider=found.provider, voices=voices)
