"""The services that every gRPC server has: health and reflection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import grpc.aio
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from kazoo_media.transport.reflection import add_reflection
from kazoo_media.transport.registry import Registry


async def add_standard_services(
    registry: Registry, names: Sequence[str], files: Iterable[FileDescriptor]
) -> health.aio.HealthServicer:
    """Register health and reflection for services of these names; return the health service.

    It reports that they are serving.

    Args:
        files: Reflection knows every name in them.
    """
    server = cast("grpc.aio.Server", registry)  # what generated code calls it
    status = health.aio.HealthServicer()
    for name in names:
        await status.set(name, HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    add_reflection(registry, (*names, health.SERVICE_NAME), (*files, health_pb2.DESCRIPTOR))
    return status
