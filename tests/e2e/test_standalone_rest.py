"""REST through an operator's Envoy: what HTTP/2 to a worker could break."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.clients import RestDownload, Tenant
from tests.support.audio_samples import tone
from tests.support.standalone import BehindEnvoy

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    with BehindEnvoy(tmp_path_factory.mktemp("rest")) as product, Tenant.log_in(product) as found:
        yield found


def _message(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


def test_stalled_downloads_do_not_stop_other_calls(tenant: Tenant) -> None:
    media_id = tenant.with_audio(tone(600))
    with ExitStack() as stack:
        for _ in range(8):
            stalled = stack.enter_context(closing(RestDownload(tenant, media_id)))
            stalled.read(1000)
        assert tenant.document(media_id)["id"] == media_id
        assert tenant.download(tenant.with_audio(tone(1))) == tone(1)


def test_a_path_that_is_not_utf8_is_answered_with_an_envelope(tenant: Tenant) -> None:
    answer = tenant.http.get(f"{tenant.path()}/nope%ff")
    assert _message(answer) == (400, "validation error")


def test_long_headers_and_uris_pass(tenant: Tenant) -> None:
    media_id = tenant.create()
    path = f"{tenant.path(media_id)}?long={'a' * 20_000}"
    assert tenant.http.get(path, headers={"x-long": "a" * 20_000}).status_code == 200


def test_a_name_that_is_not_ascii_goes_into_a_header(tenant: Tenant) -> None:
    media_id = tenant.with_audio(tone(1))
    tenant.http.patch(tenant.path(media_id), json={"data": {"name": "żaba"}})
    answer = tenant.http.get(tenant.path(media_id, raw=True))
    assert answer.content == tone(1)
    assert quote("żaba") in answer.headers["content-disposition"]
    assert not [name for name in answer.headers if name.startswith("grpc-")]


def test_a_query_names_no_other_account(tenant: Tenant) -> None:
    with tenant.new_tenant() as other:
        media_id = tenant.create()
        answer = other.http.get(f"{other.path(media_id)}?account_id={tenant.account_id}")
        assert answer.status_code == 404


def test_what_only_the_gateway_may_say_is_not_believed_of_a_client(tenant: Tenant) -> None:
    media_id = tenant.create()
    claims = {"x-rest-method": "DELETE", "x-rest-uri": "/v2/media", "x-rest-peer": "192.0.2.1"}
    answer = tenant.http.get(tenant.path(media_id), headers=claims)
    assert answer.json()["data"]["id"] == media_id
    assert tenant.document(media_id)["id"] == media_id


def test_a_path_that_is_not_there_is_answered_with_an_envelope(tenant: Tenant) -> None:
    assert _message(tenant.http.get("/nowhere")) == (404, "not_found")


def test_bodies_of_json_need_no_length(tenant: Tenant) -> None:
    answer = tenant.http.put(tenant.path(), content=iter([b'{"data":{"name":"a media"}}']))
    assert answer.status_code == 201
    answer = tenant.http.delete(tenant.path(answer.json()["data"]["id"]))
    assert answer.status_code == 200
