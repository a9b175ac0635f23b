"""Examples in the OpenAPI description. A test sends the requests and compares the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TOKEN = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJhY2NvdW50X2lkIjoiNGI5MyJ9.c2lnbmF0dXJl"  # noqa: S105 - of nobody
_ACCOUNT_ID = "4b9329d1d1e0f1c2a7bdf0f5a9d5c6e1"
_REVISION = "1-917fa0c2b0d14a4c8b8e2f2c6f4f7a55"

REQUESTS: Mapping[str, Any] = {
    "create": {"id": "hold", "name": "Music on hold"},
    "update": {"name": "Music on hold", "description": "Summer 2026", "streamable": True},
    "patch": {"description": "Autumn 2026", "source_type": None},
    "link": {"lifetime_s": 3600},
    "restore": {"version": 2},
    "log_in": {"api_key": "6d8e0d7b5f4c3a29182736455463728190a1b2c3d4e5f60718293a4b5c6d7e8f"},
    "log_in_user": {
        "credentials": "0bd6d2ac97d7f0f6c4b9e5f2a5e3a1ba",
        "method": "md5",
        "account_name": "Acme",
    },
}
"""The `data` of JSON bodies, by the name of the body."""

_NEW: Mapping[str, Any] = {
    "id": "hold",
    "name": "Music on hold",
    "language": "en-us",
    "media_source": "upload",
    "streamable": True,
    "tts": {"voice": "female/en-US"},
}
_SOUND: Mapping[str, Any] = {
    "content_type": "audio/x-wav",
    "content_length": 96044,
    "duration_ms": 3000,
    "sample_rate_hertz": 16000,
    "channel_count": 1,
    "codec": "linear16",
}
_LEVELS: Mapping[str, Any] = {"loudness_lufs": -12.68, "peak_dbfs": -8.99, "clipped_samples": 0}
_ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "created": {"data": _NEW, "revision": _REVISION},
    "DocumentEnvelope": {
        "data": {**_NEW, **_SOUND, **_LEVELS, "renditions": {"original": {**_SOUND, **_LEVELS}}},
        "revision": _REVISION,
    },
    "MediaListEnvelope": {
        "data": [
            {
                "id": "hold",
                "name": "Music on hold",
                "media_source": "upload",
                "language": "en-us",
                "is_prompt": False,
                "content_type": "audio/x-wav",
            }
        ],
        "revision": "5d41402abc4b2a76b9719d911017c592",
        "page_size": 1,
        "next_start_key": "welcome",
    },
    "Peaks": {
        "data": [-90, 90, -90, 90, -90, 90],
        "version": 2,
        "channels": 1,
        "sample_rate": 16000,
        "samples_per_pixel": 16000,
        "bits": 8,
        "length": 3,
    },
    "LinkEnvelope": {
        "data": {
            "link": f"/media/{_ACCOUNT_ID}/hold.wav"
            "?sig=1795404536-0d7c1f0a52d94b0e8a0a3f6b7c21e4d8.wav",
            "content_type": "audio/x-wav",
            "content_length": 96044,
            "expires": "2026-11-30T13:00:00Z",
        },
    },
    "VoicesEnvelope": {
        "data": [
            {
                "name": "female/en-US",
                "locale": "en-US",
                "gender": "female",
                "engine_voice": "en-us+f3",
            }
        ],
        "revision": "7d793037a0760186574b0282f2f435e7",
    },
    "LoginEnvelope": {
        "data": {
            "account_id": _ACCOUNT_ID,
            "account_name": "Acme",
            "apps": [],
            "is_master_account": False,
            "is_reseller": False,
            "language": "en-us",
            "reseller_id": "9c0a5d6f7e8d4b3c2a19081726354453",
        },
        "revision": "automatic",
        "auth_token": _TOKEN,
    },
}


def example_of(name: str, status: int) -> dict[str, Any] | None:
    """Return an answer with the envelope of this name; None if there is no example."""
    created = name == "DocumentEnvelope" and status == 201
    answer = _ANSWERS.get("created" if created else name)
    return None if answer is None else {**_common("success"), **answer}


def refusal(status: int, message: str, data: object) -> dict[str, Any]:
    """Return the answer for an error."""
    return {**_common("error"), "error": str(status), "message": message, "data": data}


def _common(status: str) -> dict[str, Any]:
    return {
        "status": status,
        "request_id": "0d7c1f0a52d94b0e8a0a3f6b7c21e4d8",
        "node": "media1.example.org",
        "version": "0.1.0",
        "timestamp": "2026-11-30T12:00:00Z",
        "auth_token": _TOKEN,
    }
