"""What has to hold of a bucket before it is used.

1. It belongs to this cluster. The object `cluster.json` has the id of the database for which it was
   first used: with another database, every blob in it would look like garbage.
2. The server does what the driver relies on. Servers that speak S3 differ, and better a start is
   refused than a recording lost.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import obstore
from obstore.store import S3Store

from kazoo_media.blobs.s3_client import S3_ERRORS, failure_code, is_bad_range, is_missing
from kazoo_media.blobs.s3_writer import put_parts

_MARKER = "cluster.json"
_SMALL = bytes(range(256))
_PART_BYTES = 5 * 1024 * 1024
_REFUSED = re.compile(r"status code: 4(?!08|29)\d\d")
"""Answers that stay the same; 408 and 429 do not."""


class BucketRefusalError(Exception):
    """The bucket cannot be used; the text says why.

    Attributes:
        may_pass: Whether trying again can help.
    """

    def __init__(self, reason: str, *, may_pass: bool = False) -> None:
        super().__init__(reason)
        self.may_pass = may_pass


async def check_owner(objects: S3Store, cluster_id: str, *, claims: bool) -> None:
    """Return if the bucket belongs to a cluster.

    Args:
        claims: Whether a bucket without an owner becomes its own.

    Raises:
        BucketRefusalError: it has another owner, or none, or cannot be read.
    """
    owner = await _owner(objects)
    if owner is None and claims:
        with _step("write the object cluster.json"):
            marker = json.dumps({"cluster_id": cluster_id}).encode()
            await obstore.put_async(objects, _MARKER, marker, use_multipart=False)
        owner = await _owner(objects)
    if owner is None:
        raise BucketRefusalError("it belongs to no cluster: cluster.json is missing")
    if owner != cluster_id:
        raise BucketRefusalError(f"it belongs to another cluster, {owner}")


async def check_abilities(objects: S3Store) -> None:
    """Return if the server does all that the driver relies on; leave nothing in the bucket.

    Raises:
        BucketRefusalError: it does not, or does not answer.
    """
    path = f"probe/{secrets.token_hex(16)}"
    try:
        await _check_small(objects, path)
        await _check_parts(objects, path)
        await _check_abort(objects, f"{path}-aborted")
    except BucketRefusalError:
        with suppress(*S3_ERRORS):
            await obstore.delete_async(objects, path)
        raise


async def _check_small(objects: S3Store, path: str) -> None:
    with _step("write an object"):
        await obstore.put_async(objects, path, _SMALL, use_multipart=False)
    with _step("read a range"):
        found = await obstore.get_range_async(objects, path, start=10, length=20)
        _expect(found.to_bytes() == _SMALL[10:30], "read a range", "other bytes came")
    with _step("read a range past the end"):
        is_refused = False
        try:
            await obstore.get_range_async(objects, path, start=1000, length=10)
        except S3_ERRORS as error:
            is_refused = is_bad_range(error)
            if not is_refused:
                raise
        _expect(is_refused, "read a range past the end", "it was not refused")
    await _check_deletion(objects, path)


async def _check_parts(objects: S3Store, path: str) -> None:
    with _step("write an object in parts"):
        await put_parts(objects, path, _parts())
        tail = await obstore.get_range_async(objects, path, start=_PART_BYTES - 1, length=257)
        _expect(tail.to_bytes() == b"\0" + _SMALL, "write an object in parts", "other bytes came")
    await _check_deletion(objects, path)


async def _check_abort(objects: S3Store, path: str) -> None:
    with _step("abort an object in parts"):
        with suppress(_AbortError):
            await put_parts(objects, path, _parts(aborted=True))
        _expect(not await _exists(objects, path), "abort an object in parts", "it exists")


async def _check_deletion(objects: S3Store, path: str) -> None:
    with _step("delete an object"):
        await obstore.delete_async(objects, path)
        _expect(not await _exists(objects, path), "delete an object", "it still exists")


class _AbortError(Exception):
    pass


async def _parts(*, aborted: bool = False) -> AsyncIterator[bytes]:
    yield bytes(_PART_BYTES)
    yield _SMALL
    if aborted:
        raise _AbortError


async def _owner(objects: S3Store) -> str | None:
    with _step("read the object cluster.json"):
        try:
            answer = await obstore.get_async(objects, _MARKER)
            marker = (await answer.bytes_async()).to_bytes()
        except S3_ERRORS as error:
            if is_missing(error):
                return None
            raise
    try:
        return str(json.loads(marker)["cluster_id"])
    except (ValueError, KeyError, TypeError):
        raise BucketRefusalError("its cluster.json was not written by kazoo-media") from None


async def _exists(objects: S3Store, path: str) -> bool:
    try:
        await obstore.get_range_async(objects, path, start=0, length=1)
    except S3_ERRORS as error:
        if is_missing(error):
            return False
        if not is_bad_range(error):  # an empty object has no ranges
            raise
    return True


def _expect(holds: bool, step: str, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise BucketRefusalError(f"cannot {step}: {otherwise}")


@contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except S3_ERRORS as error:
        may_pass = _REFUSED.search(str(error)) is None
        reason = f"cannot {name}: {failure_code(error)}"
        raise BucketRefusalError(reason, may_pass=may_pass) from error
