"""The typed async client: `Client`, its exceptions, and the messages that it takes and returns.

It works without the server's packages.
"""

from kazoo_media.client.client import Client
from kazoo_media.client.connection import TlsFiles
from kazoo_media.client.downloads import Download
from kazoo_media.client.errors import FieldViolation, MediaServiceError
from kazoo_media.client.recorder import Recorder, RecordingRefusedError
from kazoo_media.client.spool import SpooledUpload, spooled_uploads
from kazoo_media.client.uploads import Progress
from kazoo_media.v1.media_pb2 import Media, MediaSource, Rendition, RenditionKind, Tts
from kazoo_media.v1.media_service_pb2 import (
    DownloadContentRequest,
    ListMediaRequest,
    MediaFilter,
    UploadContentRequest,
)
from kazoo_media.v1.upload_service_pb2 import (
    PauseMode,
    RawAudio,
    RawEncoding,
    Upload,
    UploadSpec,
    UploadState,
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
    "PauseMode",
    "Progress",
    "RawAudio",
    "RawEncoding",
    "Recorder",
    "RecordingRefusedError",
    "Rendition",
    "RenditionKind",
    "SpooledUpload",
    "TlsFiles",
    "Tts",
    "Upload",
    "UploadContentRequest",
    "UploadSpec",
    "UploadState",
    "spooled_uploads",
]
