"""Registration of the Crossbar service: how the fields of a message map to parts of the path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from kazoo_media.core import Core
from kazoo_media.crossbar.operations import Resource, Target
from kazoo_media.crossbar.servicer import CrossbarServicer, Locate
from kazoo_media.crossbar.v2 import crossbar_service_pb2
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.transport.budget import Budget
from kazoo_media.transport.registry import Registry
from kazoo_media.transport.serializers import lenient, pass_through

_SERVICE = crossbar_service_pb2.DESCRIPTOR.services_by_name["CrossbarService"]


def _media(message: Any, path: str) -> Target:  # noqa: ANN401 - requests of four rpcs
    del path
    return Target.of(message.account_id, message.media_id)


def _attachment(message: Any, path: str) -> Target:  # noqa: ANN401 - requests of two rpcs
    del path
    return Target.of(message.account_id, message.media_id, message.attachment)


def _recording(message: Any, path: str) -> Target:  # noqa: ANN401 - requests of two rpcs
    del path
    return Target.of_recordings(message.account_id, "recordings", message.recording_id)


def _file(message: Any, path: str) -> Target:  # noqa: ANN401 - requests of three rpcs
    del path
    return Target(Resource.RECORDING_FILE, message.account_id, message.file_name)


def _upload(message: Any, path: str) -> Target:  # noqa: ANN401 - requests of three rpcs
    del path
    return Target.of_uploads(message.account_id, message.upload_id)


_LOCATE: Mapping[str, Locate] = {
    "ListMedia": lambda message, _: Target.of(message.account_id),
    "CreateMedia": lambda message, _: Target.of(message.account_id),
    "GetMedia": _media,
    "UpdateMedia": _media,
    "PatchMedia": _media,
    "DeleteMedia": _media,
    "DownloadRaw": _attachment,
    "DownloadNamed": lambda message, _: Target.of(
        message.account_id, message.media_id, "raw", message.name
    ),
    "ListVersions": lambda message, _: Target.of(message.account_id, message.media_id, "versions"),
    "RestoreMedia": lambda message, _: Target.of(message.account_id, message.media_id, "restore"),
    "CreateLink": lambda message, _: Target.of(message.account_id, message.media_id, "link"),
    "DownloadLinked": lambda message, _: Target.of_link(message.account_id, message.file),
    "UploadRaw": _attachment,
    "GetPeaks": lambda message, _: Target.of(message.account_id, message.media_id, "peaks"),
    "ListPrompts": lambda message, _: Target.of(message.account_id, "prompts"),
    "ListTranslations": lambda message, _: Target.of(
        message.account_id, "prompts", message.prompt_id
    ),
    "ResolvePrompt": lambda message, _: Target.of(
        message.account_id, "prompts", message.prompt_id, "resolve"
    ),
    "DownloadResolved": lambda message, _: Target.of(
        message.account_id, "prompts", message.prompt_id, "resolve", message.file
    ),
    "ListLanguages": lambda message, _: Target.of(message.account_id, "languages"),
    "ListMediaByLanguage": lambda message, _: Target.of(
        message.account_id, "languages", message.language
    ),
    "ListVoices": lambda message, _: Target.of(message.account_id, "tts", "voices"),
    "ListRecordings": lambda message, _: Target.of_recordings(message.account_id, "recordings"),
    "ListUserRecordings": lambda message, _: Target.of_recordings(
        message.account_id, "users", message.user_id, "recordings"
    ),
    "GetRecording": _recording,
    "DeleteRecording": _recording,
    "PutRecordingFile": _file,
    "PostRecordingFile": _file,
    "DownloadRecordingFile": _file,
    "CreateUpload": lambda message, _: Target.of_uploads(message.account_id),
    "GetUploadOffset": _upload,
    "AppendToUpload": _upload,
    "TerminateUpload": _upload,
    "Authenticate": lambda *_: Target(Resource.LOG_IN),
    "AuthenticateUser": lambda *_: Target(Resource.USER_LOG_IN),
    "DescribeApi": lambda *_: Target(Resource.API),
    "Fallback": lambda _, path: Target.locate(path),
}


def add_crossbar(
    registry: Registry,
    core: Core,
    budget: Budget,
    metrics: Metrics = NO_METRICS,
    *,
    node_name: str,
    version: str,
) -> None:
    """Register the REST surface with a server.

    The generated function is not used, as these handlers also send bytes that are not protobuf.
    """
    servicer = CrossbarServicer(core, budget, metrics, node_name, version)
    handlers = {}
    for method in _SERVICE.methods:
        codecs = lenient(GetMessageClass(method.input_type)), pass_through
        has_body = method.client_streaming
        factory = (
            grpc.stream_stream_rpc_method_handler
            if has_body
            else grpc.unary_stream_rpc_method_handler
        )
        answer = servicer.handler(method.name, _LOCATE[method.name], has_body=has_body)
        handlers[method.name] = factory(answer, *codecs)
    registry.add_registered_method_handlers(_SERVICE.full_name, handlers)
