"""Kazoo's `recordings`: documents, lists by time, audio."""

from __future__ import annotations

import base64
import io
import time
import wave
from dataclasses import replace

import pytest

from kazoo_media.model import first_revision
from tests.contract.media_samples import make_media
from tests.gateway.rest.recorded import record
from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_GREGORIAN = 62_167_219_200
_DAY_MS = 86_400_000
_UNKNOWN = f"202611-{'0' * 32}"


@pytest.fixture(scope="module")
def calls(rest: Rest) -> Tenant:
    """Return an account with recordings of an hour, 30 and 40 days ago, and a media."""
    tenant = rest.new_tenant()
    now_ms = int(time.time() * 1000)
    for number, days in enumerate((0, 30, 40)):
        recording = replace(
            make_media(
                f"202611-{number:032x}", tenant.id, name=f"{days} days", owner_id=f"u{days}"
            ),
            created_ms=now_ms - days * _DAY_MS - _DAY_MS // 24,
            revision=first_revision(),
            is_recording=True,
        )
        rest.run(rest.metadata.insert_media(recording))
    upload(rest, tenant, create(rest, tenant, id="other"), tone(0.1))
    return tenant


def _names(rest: Rest, tenant: Tenant, query: str = "", path: str = "recordings") -> list[str]:
    reply = ask(rest, tenant, f"GET /v2/accounts/{{A}}/{path}{query}")
    assert reply.status == 200, reply.body
    return [row["name"] for row in reply.data]


def test_the_last_31_days_are_listed_newest_first(rest: Rest, calls: Tenant) -> None:
    assert _names(rest, calls) == ["0 days", "30 days"]
    now = int(time.time()) + _GREGORIAN
    before = now - 86_400
    assert _names(rest, calls, f"?created_from={before}") == ["0 days"]
    assert _names(rest, calls, f"?created_to={before}") == ["30 days"]
    assert _names(rest, calls, "?created_from=0") == ["0 days", "30 days", "40 days"]
    assert _names(rest, calls, "?created_from=0&filter_name=40+days") == ["40 days"]


def test_pages_follow_each_other(rest: Rest, calls: Tenant) -> None:
    seen, start = [], ""
    while True:
        path = f"/v2/accounts/{{A}}/recordings?created_from=0&page_size=1{start}"
        reply = ask(rest, calls, f"GET {path}")
        seen += [row["name"] for row in reply.data]
        if "next_start_key" not in reply.json:
            break
        start = f"&start_key={reply.json['next_start_key']}"
    assert seen == ["0 days", "30 days", "40 days"]
    assert _names(rest, calls, "?created_from=0&paginate=false") == seen


def test_recordings_of_a_user_are_those_it_owns(rest: Rest, calls: Tenant) -> None:
    assert _names(rest, calls, path="users/u30/recordings") == ["30 days"]
    assert _names(rest, calls, path="users/u40/recordings") == []


def test_a_recording_is_not_among_media(rest: Rest, calls: Tenant) -> None:
    rows = ask(rest, calls, "GET {M}?paginate=false").data
    assert [row["id"] for row in rows] == ["other"]
    assert ask(rest, calls, "GET {M}/languages").data == [{"en-us": 1}]


def test_a_document_has_the_keys_of_kazoo(rest: Rest, tenant: Tenant) -> None:
    recording_id = record(rest, tenant, call_id="c1", start=63_900_000_000, owner_id="u1")
    reply = ask(rest, tenant, f"GET /v2/accounts/{{A}}/recordings/{recording_id}")
    assert (
        has(
            id=recording_id,
            call_id="c1",
            start=63_900_000_000,
            owner_id="u1",
            duration=1,
            duration_ms=1000,
            media_type="wav",
            media_source="recorded",
            _read_only={"content_types": ["audio/x-wav"]},
        )
        == reply.data
    )
    assert not {"tts", "streamable"} & reply.data.keys()
    assert ask(rest, tenant, "GET /v2/accounts/{A}/recordings").data == [reply.data]
    unchanged = {"if-none-match": reply.headers["etag"]}
    again = ask(rest, tenant, f"GET /v2/accounts/{{A}}/recordings/{recording_id}", None, unchanged)
    assert again.status == 304


def test_audio_is_served_where_it_is_asked_for(rest: Rest, tenant: Tenant) -> None:
    audio = bytes(range(200)) * 80
    path = f"GET /v2/accounts/{{A}}/recordings/{record(rest, tenant, audio)}"
    whole = ask(rest, tenant, path, None, {"accept": "audio/*"})
    assert (whole.status, whole.headers["content-type"]) == (200, "audio/x-wav")
    assert whole.headers["content-disposition"].startswith("attachment")
    with wave.open(io.BytesIO(whole.body)) as wav:
        assert wav.readframes(wav.getnframes()) == audio
    inline = ask(rest, tenant, f"{path}?accept=audio/x-wav&inline=true")
    assert inline.headers["content-disposition"].startswith("inline")
    assert inline.body == whole.body
    ranged = {"accept": "audio/x-wav", "range": "bytes=44-143"}
    part = ask(rest, tenant, path, None, ranged)
    assert (part.status, part.body) == (206, audio[:100])
    basic = (tenant.id, tenant.api_key)
    assert _with_basic(rest, path.replace("{A}", tenant.id), basic) == 200
    assert ask(rest, tenant, f"{path}?accept=audio/ogg").status == 406


def _with_basic(rest: Rest, request: str, basic: tuple[str, str]) -> int:
    credentials = base64.b64encode(":".join(basic).encode()).decode()
    headers = [("accept", "audio/*"), ("authorization", f"Basic {credentials}")]
    method, _, path = request.partition(" ")
    return rest.send(method, path, None, headers).status


def test_a_deleted_recording_is_gone(rest: Rest, tenant: Tenant) -> None:
    recording_id = record(rest, tenant)
    path = f"/v2/accounts/{{A}}/recordings/{recording_id}"
    stale = ask(rest, tenant, f"DELETE {path}", None, {"if-match": '"1-x"'})
    assert stale.status == 412
    reply = ask(rest, tenant, f"DELETE {path}")
    assert reply.status == 200
    assert reply.data["_read_only"]["deleted"] is True
    assert ask(rest, tenant, f"GET {path}").status == 404
    assert ask(rest, tenant, f"DELETE {path}").status == 404
    assert ask(rest, tenant, "GET /v2/accounts/{A}/recordings").data == []
    assert ask(rest, tenant, "GET /v2/accounts/{A}/recordings?deleted=true").data == []


_BAD = "bad_identifier"


@table(
    [
        Case("GET /v2/accounts/{A}/recordings/other", 404, message=_BAD),
        Case("DELETE /v2/accounts/{A}/recordings/other", 404, message=_BAD),
        Case("GET /v2/accounts/{A}/recordings/other?accept=audio/*", 404, message=_BAD),
        Case(f"GET /v2/accounts/{{A}}/recordings/{_UNKNOWN.upper()}x", 404, message=_BAD),
        Case(f"GET /v2/accounts/{{A}}/recordings/{_UNKNOWN[:-1]}f", 404, message=_BAD),
        Case("GET /v2/accounts/{A}/recordings", 401, token=False),
        Case("PUT /v2/accounts/{A}/recordings", 405, answer={"allow": "OPTIONS, GET, HEAD"}),
        Case("PATCH /v2/accounts/{A}/recordings/x", 405, body=b"{}"),
        Case("GET /v2/accounts/{A}/recordings/x/y", 404, message="not_found"),
        Case("GET /v2/accounts/{A}/users/x", 404, message="not_found"),
        Case("GET /v2/recordings", 404, message="not_found"),
        Case("GET /v2/accounts/{A}/recordings?start_key=x", 400, data=has()),
        Case("GET /v2/accounts/{A}/recordings?created_from=x", 400),
    ]
)
def test_bad_requests_are_refused(rest: Rest, calls: Tenant, case: Case) -> None:
    case.run(rest, calls)


def test_another_account_has_no_part_in_it(rest: Rest, calls: Tenant) -> None:
    path = f"/v2/accounts/{calls.id}/recordings"
    assert ask(rest, rest.stranger, f"GET {path}").status == 403
    assert ask(rest, rest.stranger, f"GET {path}/{_UNKNOWN}?accept=audio/*").status == 403
