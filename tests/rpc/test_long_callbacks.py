"""No message keeps the server's event loop from other calls, on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from kazoo_media.v1.media_pb2 import Media, Rendition
from kazoo_media.v1.media_service_pb2 import (
    CreateMediaRequest,
    GetMediaRequest,
    ListMediaRequest,
    MediaFilter,
    UpdateMediaRequest,
    UploadContentRequest,
)
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from tests.rpc.service import Tenant, ThreadedService
from tests.support.loop_watch import LONGEST_S

_TIMES = 3  # 51 bodies


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[MediaServiceStub]:
    return MediaServiceStub


def _created(**fields: Any) -> CreateMediaRequest:
    return CreateMediaRequest(media=Media(**{"name": "File"} | fields))


def _updated(mask: list[str], **fields: Any) -> UpdateMediaRequest:
    request = UpdateMediaRequest(media=Media(**{"id": "kept", "name": "File"} | fields))
    request.update_mask.paths.extend(mask)
    return request


def _listed(*filters: MediaFilter) -> ListMediaRequest:
    return ListMediaRequest(filters=filters)


def _nested(depth: int) -> Value:
    value = Value(number_value=1)
    for _ in range(depth):
        value = Value(list_value=ListValue(values=[value]))
    return value


def _array(size: int) -> Struct:
    return Struct(fields={"x": Value(list_value=ListValue(values=[Value()] * size))})


def _keys(number: int) -> dict[str, int]:
    return {f"k{n}": n for n in range(number)}


_FILTER = MediaFilter(operator=MediaFilter.OPERATOR_HAS_KEY, key="a")
_COMPARING = MediaFilter(operator=MediaFilter.OPERATOR_EQUALS, key="a", values=["b"] * 20_000)
_DEEP = MediaFilter(operator=MediaFilter.OPERATOR_HAS_KEY, key="a." * 20_000 + "a")


@dataclass(frozen=True)
class Kind:
    """A hostile call.

    Attributes:
        says: Words of the error.
    """

    name: str
    method: str
    message: Callable[[], Any]
    says: str = ""
    code: str = "INVALID_ARGUMENT"


_FIELDS = "more than the 25000 fields"
_KINDS = [
    Kind("keys", "CreateMedia", lambda: _created(extra=_keys(150_000)), _FIELDS),
    Kind("values", "CreateMedia", lambda: _created(extra=_array(1_900_000)), _FIELDS),
    Kind("output", "CreateMedia", lambda: _created(renditions=[Rendition()] * 1_300_000), _FIELDS),
    Kind("some keys", "CreateMedia", lambda: _created(extra=_keys(6_000)), "6001 values"),
    Kind("some values", "CreateMedia", lambda: _created(extra=_array(10_000)), "10002 values"),
    Kind("allowed keys", "UpdateMedia", lambda: _updated([], extra=_keys(4_900)), code="OK"),
    Kind(
        "allowed keys in a mask",
        "UpdateMedia",
        lambda: _updated([f"extra.k{n}" for n in range(1_000)], extra=_keys(4_900)),
        code="OK",
    ),
    Kind(
        "a long text", "UpdateMedia", lambda: _updated([], extra={"x": "x" * 4_000_000}), code="OK"
    ),
    Kind("paths", "UpdateMedia", lambda: _updated(["name"] * 20_000), "20000 paths"),
    Kind("more paths", "UpdateMedia", lambda: _updated(["x"] * 1_000_000), _FIELDS),
    Kind("a deep path", "UpdateMedia", lambda: _updated(["extra" + ".a" * 1_000_000]), "changed"),
    Kind("filters", "ListMedia", lambda: _listed(*[_FILTER] * 1_000), "1000 filters"),
    Kind("more filters", "ListMedia", lambda: _listed(*[MediaFilter()] * 1_900_000), _FIELDS),
    Kind("compared values", "ListMedia", lambda: _listed(_COMPARING), "20000 values"),
    Kind("a deep filter", "ListMedia", lambda: _listed(_DEEP), "20001 keys"),
    Kind(
        "depth",
        "CreateMedia",
        lambda: _created(extra=Struct(fields={"x": _nested(45)})),
        "levels",
    ),
    Kind(
        "a long id", "GetMedia", lambda: GetMediaRequest(media_id="a" * 4_000_000), "", "NOT_FOUND"
    ),
]


def _keep(stub: Any, tenant: Tenant) -> None:
    """Create the media that updates change."""
    request = _created(id="kept")
    request.account_id = tenant.account_id
    stub.CreateMedia(request, metadata=tenant.metadata)


def _outcome(call: Any, data: bytes, tenant: Tenant) -> tuple[str, str]:
    """Send a serialized message; return the code and the text of the answer."""
    try:
        call(data, metadata=tenant.metadata)
    except grpc.RpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
def test_no_callback_takes_long(
    grpc_server: ThreadedService, grpc_channel: Any, grpc_stub: Any, tenant: Tenant, kind: Kind
) -> None:
    _keep(grpc_stub, tenant)
    message = kind.message()
    message.account_id = tenant.account_id
    data = message.SerializeToString()
    call = grpc_channel.unary_unary(f"/kazoo_media.v1.MediaService/{kind.method}")
    with grpc_server.watched() as watch:
        for _ in range(_TIMES):
            code, details = _outcome(call, data, tenant)
            assert (code, kind.says in details) == (kind.code, True), details[:500]
    assert watch.longest_s < LONGEST_S


def test_no_callback_takes_long_for_empty_messages(
    grpc_server: ThreadedService, grpc_stub: Any, tenant: Tenant
) -> None:
    _keep(grpc_stub, tenant)
    header = UploadContentRequest.Header(account_id=tenant.account_id, media_id="kept")

    def messages() -> Iterator[UploadContentRequest]:
        yield UploadContentRequest(header=header)
        yield from [UploadContentRequest(data=b"")] * 5_000

    with grpc_server.watched() as watch, pytest.raises(grpc.RpcError) as caught:
        grpc_stub.UploadContent(messages(), metadata=tenant.metadata)
    assert caught.value.code() is grpc.StatusCode.ABORTED  # without a finish
    assert watch.longest_s < LONGEST_S
