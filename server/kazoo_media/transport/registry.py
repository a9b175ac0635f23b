"""Where services are registered: the worker's server, or one of grpc.aio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Registry(Protocol):
    """What generated code asks of a server."""

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler], /
    ) -> None:
        """Answer the methods of a service."""

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[Any], /) -> None:
        """Answer what handlers answer that find their methods themselves."""
