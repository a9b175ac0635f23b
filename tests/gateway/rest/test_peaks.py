"""The waveform of audio, as players draw it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import tone, wav_bytes
from tests.support.loop_watch import LONGEST_S

pytestmark = pytest.mark.gateway

_TONE = tone(1.0, rate=16_000, level_db=-9.0)
_CREST = round(127 * 2**0.5 * 10 ** (-9 / 20))


@pytest.fixture
def media_id(rest: Rest, tenant: Tenant) -> str:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _TONE)
    return media_id


def test_the_body_is_an_envelope_and_what_peaks_js_reads(
    rest: Rest, tenant: Tenant, media_id: str
) -> None:
    reply = ask(rest, tenant, f"GET {{M}}/{media_id}/peaks?buckets=100")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    body = reply.json
    assert body["status"] == "success"
    # audiowaveform's format, all of which its readers want:
    assert {key: body[key] for key in ("version", "channels", "bits")} == {
        "version": 2,
        "channels": 1,
        "bits": 8,
    }
    assert (body["sample_rate"], body["samples_per_pixel"], body["length"]) == (16_000, 160, 100)
    assert len(body["data"]) == 200
    assert body["data"][20:180:2] == pytest.approx([-_CREST] * 80, abs=3)
    assert body["data"][21:180:2] == pytest.approx([_CREST] * 80, abs=3)


def test_there_are_800_stretches_unless_asked_otherwise(
    rest: Rest, tenant: Tenant, media_id: str
) -> None:
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/peaks").json["length"] == 800
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/peaks?buckets=2000").json["length"] == 2000
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/peaks?buckets=20000").json["length"] == 16_000


@pytest.mark.parametrize("zoom", [256, 512])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_minute_is_exact_at_the_zoom_of_players(
    rest: Rest, tenant: Tenant, rate: int, zoom: int
) -> None:
    levels = np.random.default_rng(rate).uniform(-1, 1, 60 * rate)
    levels *= np.repeat(np.linspace(0.01, 0.9, 60_000), rate // 1000 + 1)[: 60 * rate]
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, wav_bytes(levels, rate, 1, 16))
    buckets = math.ceil(len(levels) / zoom)
    with rest.watched() as watch:
        body = ask(rest, tenant, f"GET {{M}}/{media_id}/peaks?buckets={buckets}").json
    assert watch.longest_s < LONGEST_S
    assert (body["samples_per_pixel"], body["length"]) == (zoom, buckets)
    drawn = np.array(body["data"]).reshape(-1, 2)
    heard = np.pad(levels, (0, buckets * zoom - len(levels)), "edge").reshape(-1, zoom)
    assert np.abs(drawn[:, 0] - 127 * heard.min(axis=1)).max() <= 1
    assert np.abs(drawn[:, 1] - 127 * heard.max(axis=1)).max() <= 1


def test_head_and_a_known_tag_have_no_body(rest: Rest, tenant: Tenant, media_id: str) -> None:
    whole = ask(rest, tenant, f"GET {{M}}/{media_id}/peaks?buckets=7")
    head = ask(rest, tenant, f"HEAD {{M}}/{media_id}/peaks?buckets=7")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body))
    tag = {"if-none-match": whole.headers["etag"]}
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/peaks?buckets=7", None, tag).status == 304
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/peaks?buckets=8", None, tag).status == 200


def test_each_rendition_has_its_own(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    headers = {"content-type": "audio/wav"}
    ask(rest, tenant, f"POST {{M}}/{media_id}/raw?preset=telephony", _TONE, headers)
    rates = [
        ask(rest, tenant, f"GET {{M}}/{media_id}/peaks?rendition={kind}").json["sample_rate"]
        for kind in ("original", "normalized")
    ]
    assert rates == [16_000, 8000]
    served = ask(rest, tenant, f"GET {{M}}/{media_id}/peaks").json
    assert served["sample_rate"] == 8000
    upload(rest, tenant, media_id, tone(0.5, rate=44_100))
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/peaks").json["sample_rate"] == 44_100


@table(
    [
        Case("GET {M}/nothing/peaks", 404, message="bad_identifier"),
        Case("GET {M}/nothing/peaks", 401, token=False),
        Case("OPTIONS {M}/nothing/peaks", 200, token=False, answer={"allow": "OPTIONS, GET, HEAD"}),
        Case(
            "GET {M}/nothing/peaks?buckets=0",
            400,
            data={
                "buckets": {
                    "minimum": {"message": "Value must be at least 1", "target": 1, "value": 0}
                }
            },
        ),
        Case("GET {M}/nothing/peaks?buckets=20001", 400, data={"buckets": has(maximum=has())}),
        Case("GET {M}/nothing/peaks?buckets=many", 400, data={"buckets": has(type=has())}),
        Case("GET {M}/nothing/peaks", 406, headers={"accept": "image/png"}),
    ]
)
def test_what_can_not_be_answered(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


def test_without_audio_or_of_what_no_one_can_decode_there_are_none(
    rest: Rest, tenant: Tenant
) -> None:
    media_id = create(rest, tenant)
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/peaks").json["message"] == "bad_identifier"
    upload(rest, tenant, media_id, b"\xff\xf3" + bytes(range(256)) * 8, "audio/mpeg")
    reply = ask(rest, tenant, f"GET {{M}}/{media_id}/peaks")
    assert (reply.status, reply.json["message"]) == (404, "not_found")
    assert reply.data["message"].startswith("the waveform of this audio cannot be measured: ")


def test_another_account_does_not_see_them(rest: Rest, tenant: Tenant, media_id: str) -> None:
    assert ask(rest, rest.stranger, f"GET {tenant.media}/{media_id}/peaks").status == 403
