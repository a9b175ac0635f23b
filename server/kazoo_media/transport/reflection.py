"""gRPC reflection, v1 and v1alpha: the same messages, in two packages.

grpcio-reflection has only v1alpha. Newer clients ask for v1 first, some of them for v1 only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import (
    DESCRIPTOR,
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from kazoo_media.transport.registry import Registry

_V1 = reflection.SERVICE_NAME.replace(".v1alpha.", ".v1.")
_POOL = descriptor_pool.Default()


class _Symbols:
    """The descriptor pool, in which the full name of a method is a symbol as well."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method of the pool
        return getattr(_POOL, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802
        """Return the file that declares a symbol.

        Raises:
            KeyError: no file declares it.
        """
        try:
            return _POOL.FindFileContainingSymbol(symbol)
        except KeyError:
            service_name, _, method_name = symbol.rpartition(".")
            service = _POOL.FindServiceByName(service_name)
            if method_name not in service.methods_by_name:
                raise
            return service.file


def add_reflection(registry: Registry, names: Sequence[str]) -> None:
    """Register both versions for the services of these names and for themselves."""
    _describe_v1()
    versions = (reflection.SERVICE_NAME, _V1)
    servicer = reflection.aio.ReflectionServicer((*names, *versions), pool=_Symbols())
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        ServerReflectionRequest.FromString,
        ServerReflectionResponse.SerializeToString,
    )
    for name in versions:
        registry.add_registered_method_handlers(name, {"ServerReflectionInfo": handler})


def _describe_v1() -> None:
    """Add v1 to the pool, so that clients can look up reflection itself.

    Source: grpc/reflection/v1/reflection.proto, which is v1alpha's under another package.
    """
    alpha = FileDescriptorProto()
    DESCRIPTOR.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
    v1 = text_format.Parse(text, FileDescriptorProto())
    _POOL.AddSerializedFile(v1.SerializeToString())
