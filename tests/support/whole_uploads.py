"""Uploads with messages that are all known in advance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc

from kazoo_media.v1.media_service_pb2 import UploadContentRequest, UploadContentResponse
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub


async def upload_whole(
    target: str, messages: Iterable[UploadContentRequest], metadata: tuple[tuple[str, str], ...]
) -> UploadContentResponse:
    """Send messages and return the answer of the service.

    grpc.aio's own client loses the status of some calls that end while it still sends
    (grpc/grpc#36066); the blocking one does not.

    Raises:
        grpc.RpcError: the status that the service sent.
    """

    def upload() -> UploadContentResponse:
        with grpc.insecure_channel(target) as channel:
            stub: Any = MediaServiceStub(channel)
            answer: UploadContentResponse = stub.UploadContent(iter(messages), metadata=metadata)
            return answer

    return await asyncio.to_thread(upload)
