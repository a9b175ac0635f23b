"""What a program written for Kazoo does with its published Python SDK; prints what it saw as JSON.

Run by test_published_clients.py in an environment that has `kazoo-sdk` and nothing of ours:

    python sdk_tour.py URL API_KEY AUDIO_FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import kazoo  # type: ignore[import-not-found]
from kazoo.exceptions import (  # type: ignore[import-not-found]
    KazooApiAuthenticationError,
    KazooApiBadDataError,
    KazooApiError,
)


def tour(url: str, api_key: str, audio: Path) -> dict[str, Any]:
    """Return what each step gave."""
    seen: dict[str, Any] = {}
    client = kazoo.Client(api_key=api_key, base_url=url)
    token = client.authenticate()
    account_id = client.auth_data["data"]["account_id"]
    seen["token parts"] = len(token.split("."))
    created = client.create_media(account_id, {"name": "Greeting", "streamable": True})
    media_id = created["data"]["id"]
    seen["created"] = created["data"]
    seen["listed"] = [row["id"] for row in client.get_all_media(account_id)["data"]] == [media_id]
    seen["got"] = client.get_media(account_id, media_id)["data"]["name"]
    document = {**created["data"], "name": "Welcome", "ui_metadata": {"ui": "sdk"}}
    seen["updated"] = client.update_media(account_id, media_id, document)["data"]
    try:
        with audio.open("rb") as file:  # the SDK drops the file: it sends an empty JSON body
            client.upload_media_file(account_id, media_id, "greeting", file)
    except KazooApiBadDataError as error:
        seen["empty upload"] = error.field_errors
    path = f"/accounts/{account_id}/media/{media_id}/raw"
    uploaded, data = client.manual_request(
        path, "post", {"Content-Type": "audio/x-wav"}, audio.read_bytes()
    )
    seen["uploaded"] = [uploaded, data["content_type"], data["content_length"]]
    try:
        client.create_media(account_id, {"description": "no name"})
    except KazooApiBadDataError as error:
        seen["refused"] = error.field_errors
    seen["deleted"] = client.delete_media(account_id, media_id)["status"]
    try:
        client.get_media(account_id, media_id)
    except KazooApiError as error:
        seen["gone"] = error.args[2]
    stale = kazoo.Client(api_key=api_key, base_url=url)
    stale.authenticate()
    stale.auth_token = "a.stale.token"
    seen["logged in again"] = stale.get_all_media(account_id)["data"]
    try:
        kazoo.Client(api_key="0" * 64, base_url=url).authenticate()
    except KazooApiAuthenticationError as error:
        seen["unknown key"] = str(error)
    return seen


if __name__ == "__main__":
    print(json.dumps(tour(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
