"""The protocol of a server with which services are registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Registry(Protocol):
    """The methods of a server that generated code calls."""

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler], /
    ) -> None:
        """Answer the methods of a service."""

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[Any], /) -> None:
        """Answer the methods that these handlers look up themselves."""
