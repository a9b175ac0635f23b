"""MediaService's lists: order, pages, filters."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from kazoo_media.v1 import media_pb2
from kazoo_media.v1.media_pb2 import Tts
from kazoo_media.v1.media_service_pb2 import DeleteMediaRequest, ListMediaRequest, MediaFilter
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from tests.rpc.service import Tenant, refused


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[MediaServiceStub]:
    return MediaServiceStub


@pytest.fixture
def list_ids(stub: Any, tenant: Tenant) -> Any:
    def list_ids(**fields: Any) -> list[str]:
        answer = stub.ListMedia(ListMediaRequest(account_id=tenant.account_id, **fields))
        return [each.id for each in answer.media]

    return list_ids


def test_a_list_has_all_documents_in_the_order_of_their_ids(create: Any, list_ids: Any) -> None:
    for media_id in ("b", "a", "C"):
        create(id=media_id)
    assert list_ids() == ["C", "a", "b"]
    assert list_ids(descending=True) == ["b", "a", "C"]


@pytest.mark.parametrize("descending", [False, True])
def test_paging_neither_repeats_nor_drops_while_documents_come_and_go(
    create: Any, stub: Any, tenant: Tenant, *, descending: bool
) -> None:
    lasting = [f"m{n:02}" for n in range(10)]
    for media_id in lasting:
        create(id=media_id)
    seen: list[str] = []
    request = ListMediaRequest(account_id=tenant.account_id, page_size=3, descending=descending)
    for n in range(100):
        page = stub.ListMedia(request)
        seen += [each.id for each in page.media]
        if not page.next_page_token:
            break
        assert len(page.media) == 3
        request.page_token = page.next_page_token
        create(id=f"m0{n}-between")
        create(id=f"a{n}")
        create(id=f"z{n}")
    assert [each for each in seen if each in lasting] == sorted(lasting, reverse=descending)
    assert len(seen) == len(set(seen))


def test_a_page_token_stays_good_when_its_row_is_deleted(
    create: Any, stub: Any, tenant: Tenant
) -> None:
    for media_id in "abcd":
        create(id=media_id)
    first = stub.ListMedia(ListMediaRequest(account_id=tenant.account_id, page_size=2))
    stub.DeleteMedia(DeleteMediaRequest(account_id=tenant.account_id, media_id="c", hard=True))
    second = stub.ListMedia(
        ListMediaRequest(account_id=tenant.account_id, page_token=first.next_page_token)
    )
    assert [each.id for each in second.media] == ["d"]


def test_a_bad_page_token_is_a_bad_request(list_ids: Any) -> None:
    with refused("INVALID_ARGUMENT", "BAD_REQUEST"):
        list_ids(page_token="!!!")


def test_a_negative_page_size_is_refused(list_ids: Any) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        list_ids(page_size=-1)
    assert refusal.fields == ["page_size"]


def test_a_page_has_fifty_rows_unless_asked_otherwise(create: Any, list_ids: Any) -> None:
    for n in range(52):
        create(id=f"{n:03}")
    assert len(list_ids()) == 50
    assert len(list_ids(page_size=5000)) == 52


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"language": "FR-fr"}, ["french"]),
        ({"media_source": media_pb2.MEDIA_SOURCE_RECORDING}, ["recording"]),
        ({"filters": [("origin", MediaFilter.OPERATOR_EQUALS, ["x", "api"])]}, ["french"]),
        (
            {"filters": [("origin", MediaFilter.OPERATOR_NOT_EQUALS, ["api"])]},
            ["bare", "recording"],
        ),
        ({"filters": [("origin", MediaFilter.OPERATOR_HAS_KEY, [])]}, ["french", "recording"]),
        ({"filters": [("origin", MediaFilter.OPERATOR_KEY_MISSING, [])]}, ["bare"]),
        ({"filters": [("origin", MediaFilter.OPERATOR_HAS_VALUE, [])]}, ["french"]),
        ({"filters": [("origin", MediaFilter.OPERATOR_VALUE_MISSING, [])]}, ["bare", "recording"]),
        ({"filters": [("tts.voice", MediaFilter.OPERATOR_EQUALS, ["male/fr-FR"])]}, ["french"]),
        (
            {
                "language": "en-us",
                "filters": [("name", MediaFilter.OPERATOR_EQUALS, ["File"])],
                "media_source": media_pb2.MEDIA_SOURCE_UPLOAD,
            },
            ["bare"],
        ),
    ],
)
def test_a_list_can_be_filtered(create: Any, list_ids: Any, fields: Any, found: list[str]) -> None:
    create(id="bare")
    create(id="french", language="fr-FR", extra={"origin": "api"}, tts=Tts(voice="male/fr-FR"))
    create(id="recording", media_source=media_pb2.MEDIA_SOURCE_RECORDING, extra={"origin": ""})
    if "filters" in fields:
        filters = [MediaFilter(key=k, operator=o, values=v) for k, o, v in fields["filters"]]
        fields = fields | {"filters": filters}
    assert list_ids(**fields) == found


def test_a_list_can_be_bound_by_times_inclusively(create: Any, list_ids: Any) -> None:
    created = create(id="x").create_time
    earlier, later = Timestamp(), Timestamp()
    earlier.FromNanoseconds(created.ToNanoseconds() - 1)
    later.FromNanoseconds(created.ToNanoseconds() + 1)
    for name in ("created", "modified"):
        assert list_ids(**{f"{name}_from": created, f"{name}_to": created}) == ["x"]
        assert list_ids(**{f"{name}_from": earlier, f"{name}_to": later}) == ["x"]
        assert list_ids(**{f"{name}_from": later}) == []
        assert list_ids(**{f"{name}_to": earlier}) == []


@pytest.mark.parametrize(
    ("filters", "fields"),
    [
        ([MediaFilter(key="name")], ["filters[0].operator"]),
        ([MediaFilter(key="name", operator=77)], ["filters[0].operator"]),  # type: ignore[arg-type]
        (
            [MediaFilter(operator=MediaFilter.OPERATOR_EQUALS)],
            ["filters[0].key", "filters[0].values"],
        ),
        ([MediaFilter(key="a", operator=MediaFilter.OPERATOR_HAS_KEY)] * 101, ["filters"]),
    ],
)
def test_a_bad_filter_is_refused(list_ids: Any, filters: Any, fields: list[str]) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        list_ids(filters=filters)
    assert refusal.fields == fields
