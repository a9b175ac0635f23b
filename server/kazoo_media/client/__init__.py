"""The typed async client: `Client`, its exceptions, and the messages that it takes and returns.

It works without the server's packages.
"""

from kazoo_media.client.client import Client
from kazoo_media.client.connection import TlsFiles
from kazoo_media.client.downloads import Download
from kazoo_media.client.errors import FieldViolation, MediaServiceError
from kazoo_media.client.uploads import Progress
from kazoo_media.v1.media_pb2 import Media, MediaSource, Rendition, RenditionKind, Tts
from kazoo_media.v1.media_service_pb2 import (
    DownloadContentRequest,
    ListMediaRequest,
    MediaFilter,
    UploadContentRequest,
)

__all__ = [
    "Client",
    "Download",
    "DownloadContentRequest",
    "FieldViolation",
    "ListMediaRequest",
    "Media",
    "MediaFilter",
    "MediaServiceError",
    "MediaSource",
    "Progress",
    "Rendition",
    "RenditionKind",
    "TlsFiles",
    "Tts",
    "UploadContentRequest",
]
