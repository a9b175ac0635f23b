"""SettingsService."""

from __future__ import annotations

from typing_extensions import override

from kazoo_media.core import Core
from kazoo_media.documents.violations import required
from kazoo_media.errors import ValidationError
from kazoo_media.rpc.callers import Callers
from kazoo_media.rpc.convert import setting_message
from kazoo_media.rpc.values import from_value
from kazoo_media.transport.context import Context
from kazoo_media.v1 import settings_service_pb2 as pb
from kazoo_media.v1.settings_service_pb2_grpc import SettingsServiceServicer


class SettingsServicer(SettingsServiceServicer):
    """Settings, for superduper admins."""

    def __init__(self, core: Core) -> None:
        self._callers = Callers(core)
        self._settings = core.settings

    @override
    async def GetSettings(
        self, request: pb.GetSettingsRequest, context: Context
    ) -> pb.GetSettingsResponse:
        scope = await self._callers.may_administer(context)
        settings = await self._settings.describe(scope, request.category, request.key, request.node)
        return pb.GetSettingsResponse(settings=map(setting_message, settings))

    @override
    async def SetSetting(
        self, request: pb.SetSettingRequest, context: Context
    ) -> pb.SetSettingResponse:
        scope = await self._callers.may_administer(context)
        setting = await self._settings.put(
            scope, request.category, request.key, _value(request), node=request.node
        )
        return pb.SetSettingResponse(setting=setting_message(setting))

    @override
    async def SetDefaultSetting(
        self, request: pb.SetDefaultSettingRequest, context: Context
    ) -> pb.SetDefaultSettingResponse:
        scope = await self._callers.may_administer(context)
        setting = await self._settings.put(
            scope, request.category, request.key, _value(request), node=None
        )
        return pb.SetDefaultSettingResponse(setting=setting_message(setting))

    @override
    async def FlushSettings(
        self, request: pb.FlushSettingsRequest, context: Context
    ) -> pb.FlushSettingsResponse:
        await self._settings.flush(await self._callers.may_administer(context))
        return pb.FlushSettingsResponse()


def _value(request: pb.SetSettingRequest | pb.SetDefaultSettingRequest) -> object:
    """Return the value to store. A missing value is an error, so that it removes nothing."""
    if not request.HasField("value"):
        raise ValidationError([required("value")])
    return from_value(request.value, "value")
