"""The connection to a bucket, and what its errors mean.

obstore reports "no such object" and "no such bucket" as the same class, and "server down" and "bad
range" as another. So errors are told apart by operation and by the code in the server's answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError
from obstore.store import S3Store

from kazoo_media.errors import StorageFullError, StoreUnavailableError
from kazoo_media.metrics import Metrics

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

_REQUEST_TIMEOUT = timedelta(seconds=30)
_CONNECT_TIMEOUT = timedelta(seconds=5)
_RETRIES = 4
_RETRY_TIMEOUT = timedelta(seconds=60)
_FULL_CODES = ("QuotaExceeded", "InsufficientCapacity", "StorageFull", "507 Insufficient Storage")
_CODE = re.compile("<Code>([^<]+)</Code>")
_CAUSE = re.compile('message: "([^"]+)"')
"""Of the system's error in what obstore says for developers."""

S3_ERRORS = (BaseError, OSError)
"""What a call of obstore raises."""


@dataclass(frozen=True, slots=True)
class S3Place:
    """Where the blobs are. Credentials are in the AWS_* environment variables.

    Attributes:
        prefix: Start of all object names, without slashes at its ends; "" for none.
        endpoint: URL of the server; "" for AWS.
        virtual_hosted: Whether the bucket is part of the host name.
    """

    bucket: str
    prefix: str
    endpoint: str
    region: str
    virtual_hosted: bool

    @property
    def url(self) -> str:
        """Return the URL of the bucket itself."""
        endpoint = self.endpoint or f"https://s3.{self.region}.amazonaws.com"
        return f"{endpoint}/" if self.virtual_hosted else f"{endpoint}/{self.bucket}"

    @property
    def objects_url(self) -> str:
        """Return the URL below which the objects are."""
        return f"{self.url.rstrip('/')}/{self.prefix}"

    def connect(self) -> S3Store:
        """Return a client. It makes no request."""
        config: S3Config = {
            "disable_bulk_delete": True,  # not every server has it
            "disable_tagging": True,
            "virtual_hosted_style_request": self.virtual_hosted,
            "region": self.region,
        }
        if self.endpoint:
            config["endpoint"] = self.endpoint
        options: ClientConfig = {
            "allow_http": self.endpoint.startswith("http://"),
            "timeout": _REQUEST_TIMEOUT,
            "connect_timeout": _CONNECT_TIMEOUT,
        }
        return S3Store(
            self.bucket,
            prefix=self.prefix or None,
            config=config,
            client_options=options,
            retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT},
        )


@contextmanager
def converted_errors(metrics: Metrics, operation: str) -> Iterator[None]:
    """Raise the error of the store for an error of obstore, and count it."""
    try:
        yield
    except S3_ERRORS as error:
        is_full = any(code in str(error) for code in _FULL_CODES)
        failure = StorageFullError() if is_full else StoreUnavailableError()
        metrics.store_failed("blobs", operation, failure.reason)
        raise failure from error


@contextmanager
def timed(metrics: Metrics, operation: str) -> Iterator[None]:
    """Convert errors, and record how long an operation takes that has none."""
    with converted_errors(metrics, operation), metrics.timed("blobs", operation):
        yield


def is_missing(error: Exception) -> bool:
    """Return whether the answer is that the object does not exist; the bucket does."""
    return isinstance(error, FileNotFoundError) and "NoSuchKey" in str(error)


def is_bad_range(error: Exception) -> bool:
    """Return whether the answer is that the range does not exist; the object does."""
    return "416 Range Not Satisfiable" in str(error)


def failure_code(error: Exception) -> str:
    """Return the server's own code for a failure, or the reason for which there was no answer."""
    text = str(error)
    found = _CODE.search(text) or _CAUSE.search(text)
    if found:
        return found[1]
    return " ".join(text.split("Debug source", 1)[0].split())
