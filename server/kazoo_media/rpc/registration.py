"""Registration of the typed services."""

from __future__ import annotations

from typing import cast

import grpc.aio

from kazoo_media.core import Core
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.rpc.accounts import AccountServicer
from kazoo_media.rpc.languages import LanguageServicer
from kazoo_media.rpc.media import MediaServicer
from kazoo_media.rpc.prompts import PromptServicer
from kazoo_media.rpc.settings import SettingsServicer
from kazoo_media.rpc.speech import SpeechServicer
from kazoo_media.rpc.uploads import UploadServicer
from kazoo_media.transport.guarded import Guarded
from kazoo_media.transport.registry import Registry
from kazoo_media.v1 import (
    account_service_pb2_grpc,
    language_service_pb2_grpc,
    media_service_pb2_grpc,
    prompt_service_pb2_grpc,
    settings_service_pb2_grpc,
    speech_service_pb2_grpc,
    upload_service_pb2_grpc,
)
from kazoo_media.v1.services import SERVICES

SERVICE_NAMES = tuple(service.full_name for service in SERVICES)
"""Full names of the typed services, for health and reflection."""


def add_services(registry: Registry, core: Core, metrics: Metrics = NO_METRICS) -> None:
    """Register every typed service."""
    server = cast(
        "grpc.aio.Server", Guarded(registry, metrics)
    )  # the type that generated code expects
    account_service_pb2_grpc.add_AccountServiceServicer_to_server(AccountServicer(core), server)
    language_service_pb2_grpc.add_LanguageServiceServicer_to_server(LanguageServicer(core), server)
    media_service_pb2_grpc.add_MediaServiceServicer_to_server(MediaServicer(core), server)
    prompt_service_pb2_grpc.add_PromptServiceServicer_to_server(PromptServicer(core), server)
    settings_service_pb2_grpc.add_SettingsServiceServicer_to_server(SettingsServicer(core), server)
    speech_service_pb2_grpc.add_SpeechServiceServicer_to_server(SpeechServicer(core), server)
    upload_service_pb2_grpc.add_UploadServiceServicer_to_server(UploadServicer(core), server)
