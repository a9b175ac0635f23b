"""Parts of a file that claim to be an upload: the live audio must stay whole."""

from __future__ import annotations

import base64

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_WAV = tone(0.3)
_PART = tone(0.2)[:1000]
_RANGES = ["bytes 0-999/5000", "bytes 0-999/*", "bytes 0-999/1000", "bytes */5000", "items 1-2/3"]
_BODIES = {
    "plain": ("audio/wav", _PART),
    "base64": ("application/base64", base64.b64encode(_PART)),
    "form": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.wav"\r\n\r\n'
        + _PART
        + b"\r\n--b--\r\n",
    ),
}


@pytest.mark.parametrize("content_range", _RANGES)
@pytest.mark.parametrize("body", _BODIES)
@pytest.mark.parametrize("path", ["", "/raw"])
def test_a_part_does_not_replace_the_whole(
    rest: Rest, tenant: Tenant, path: str, body: str, content_range: str
) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    content_type, data = _BODIES[body]
    headers = {"content-type": content_type, "content-range": content_range}
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}{path}", data, headers)
    assert (reply.status, reply.json["message"]) == (400, "validation error")
    text = f"parts ({content_range}) cannot be uploaded: send the whole"
    assert reply.data == {"content-range": {"invalid": {"message": text}}}
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body == _WAV
    assert rest.pending_uploads() == 0


def test_a_part_in_a_form_does_not_replace_the_whole(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    content_type, form = _BODIES["form"]
    form = form.replace(b"\r\n\r\n", b"\r\nContent-Range: bytes 0-999/5000\r\n\r\n", 1)
    reply = ask(rest, tenant, f"POST {{M}}/{media_id}/raw", form, {"content-type": content_type})
    assert (reply.status, reply.data) == (400, has(**{"content-range": has(invalid=has())}))
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body == _WAV


_RANGE = {"content-range": "bytes 0-999/5000"}


@table(
    [
        Case("PUT {M}", 400, {"data": {"name": "x"}}, _RANGE, data={"content-range": has()}),
        Case("PUT {M}", 201, {"data": {"name": "x"}}, {"content-range": ""}),
        Case("POST {M}/nothing/raw", 401, _PART, _RANGE, token=False),
        Case("GET {M}", 200, headers=_RANGE),
    ]
)
def test_a_part_of_anything_else(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)
