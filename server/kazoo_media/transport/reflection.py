"""gRPC reflection, v1 and v1alpha: the same messages, in two packages.

grpcio-reflection has only v1alpha. Newer clients ask for v1 first, some of them for v1 only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor
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
    """The descriptor pool, in which every name of some files is a symbol.

    The pool itself finds no methods, fields and values of enums.
    """

    def __init__(self, files: Iterable[FileDescriptor]) -> None:
        self._files = {name: file for file in files for name in _names(file)}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method of the pool
        return getattr(_POOL, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802
        """Return the file that declares a symbol.

        Raises:
            KeyError: no file declares it.
        """
        found = self._files.get(symbol)
        return _POOL.FindFileContainingSymbol(symbol) if found is None else found


def add_reflection(
    registry: Registry, names: Sequence[str], files: Iterable[FileDescriptor]
) -> None:
    """Register both versions for the services of these names and for themselves.

    Args:
        files: Clients can look up every name in them.
    """
    _describe_v1()
    versions = (reflection.SERVICE_NAME, _V1)
    own = (_POOL.FindServiceByName(each).file for each in versions)
    symbols = _Symbols((*files, *own))
    servicer = reflection.aio.ReflectionServicer((*names, *versions), pool=symbols)
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


def _names(file: FileDescriptor) -> Iterator[str]:
    for service in file.services_by_name.values():
        yield service.full_name
        yield from (method.full_name for method in service.methods)
    for enum in file.enum_types_by_name.values():
        yield from _names_of_enum(enum)
    for message in file.message_types_by_name.values():
        yield from _names_of_message(message)


def _names_of_message(message: Descriptor) -> Iterator[str]:
    yield message.full_name
    yield from (field.full_name for field in message.fields)
    yield from (oneof.full_name for oneof in message.oneofs)
    for enum in message.enum_types:
        yield from _names_of_enum(enum)
    for nested in message.nested_types:
        yield from _names_of_message(nested)


def _names_of_enum(enum: EnumDescriptor) -> Iterator[str]:
    yield enum.full_name
    scope = enum.full_name.rpartition(".")[0]
    yield from (f"{scope}.{value.name}" for value in enum.values)
